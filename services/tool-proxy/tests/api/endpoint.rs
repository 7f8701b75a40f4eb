//! `/mcp`: the tools of the mesh for clients that speak MCP, of this year's revision and of the older ones.

mod calls;
mod client;
mod hanging;
mod keys;
mod messages;
mod news;
mod python;
