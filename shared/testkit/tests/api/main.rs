//! Each thing of the kit is started and spoken to.

mod fault_proxy;
mod servers;
