//! `version`.

use crate::args::{Global, Version};
use crate::bus::Session;
use crate::failure::Failure;
use crate::render;
use serde_json::json;

/// Prints both versions; a daemon that cannot be reached is said, and is no error.
pub(crate) async fn run(global: &Global, args: &Version) -> Result<(), Failure> {
    let client = env!("CARGO_PKG_VERSION");
    let server = match server(global).await {
        Ok(version) => version,
        Err(failure) => {
            failure.report();
            "unreachable".to_owned()
        }
    };
    let text = || format!("Client version: {client}\nServer version: {}\n", render::printable(&server));
    render::show_one(args.format.format, text, &json!({ "client": client, "server": server }))
}

async fn server(global: &Global) -> Result<String, Failure> {
    let session = Session::open(global).await?;
    Ok(session.manager().await?.version().await?)
}
