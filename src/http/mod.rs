//! Jobs for other hosts: create and ask over HTTP, behind any load balancer.
//!
//! A [`Server`] puts a manager on the wire: it translates, checks and limits, and adds no behaviour to
//! the queue. A [`Client`] sends jobs to whatever stands behind a URL; the host that gets one queues it
//! on itself and answers a receipt, and later the client asks that host for it. [`Client`] and
//! [`Manager`](crate::Manager) both are an [`Enqueue`](crate::Enqueue), so that a program moves from
//! local to remote by one line.

#[cfg(feature = "http-client")]
mod client;
mod problem;
#[cfg(feature = "http-server")]
mod server;
mod wire;

#[cfg(feature = "http-client")]
pub use client::{Client, ClientBuilder, Pool, Push};
#[cfg(feature = "http-server")]
pub use server::{Answered, Role, Server, Serving};
