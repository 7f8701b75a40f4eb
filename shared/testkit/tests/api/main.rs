//! Each thing of the kit is started and spoken to.

mod collector;
mod fault_proxy;
mod servers;
