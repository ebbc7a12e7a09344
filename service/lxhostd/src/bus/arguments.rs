//! Bodies of calls, read as the methods read them, without a bus or an engine: what a fuzz target throws at the
//! parsers of arguments. Called by `hostile`.

use super::guest::{command, terminal};
use super::instance::stop_options;
use super::manager::{Manager, id_of};
use super::options::{self, Options};
use super::rows::InstanceFilter;
use lxhost_dbus::wire::{Config, Devices, Values};
use lxhost_engine::{Error, Result};
use serde::de::DeserializeOwned;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{Endian, OwnedObjectPath, Type};

/// The body after two bytes that say of which method it is, and its order of bytes.
pub(crate) fn arguments(data: &[u8]) -> std::result::Result<(), String> {
    let [method, order, body @ ..] = data else { return Ok(()) };
    let body = Data::new(body, Context::new(if order & 1 == 0 { Endian::Little } else { Endian::Big }, 0));
    match method % 6 {
        0 => create(read(&body)?),
        1 => list(read(&body)?),
        2 => exec(read(&body)?),
        3 => bulk(read(&body)?),
        4 => stop(read(&body)?),
        _ => profile(read(&body)?),
    }
    .map_err(|error: Error| error.message)
}

/// What zbus hands to a method; what it does not is refused by it, with words of its own.
fn read<T: DeserializeOwned + Type>(body: &Data<'_, '_>) -> std::result::Result<T, String> {
    body.deserialize().map(|(read, _)| read).map_err(|_| "the arguments have another signature".to_owned())
}

fn create((source, spec): (Values, Values)) -> Result<()> {
    Manager::source(source)?;
    Manager::spec(spec).map(drop)
}

fn list(filter: Values) -> Result<()> {
    InstanceFilter::new(filter).map(drop)
}

fn exec((argv, options): (Vec<String>, Values)) -> Result<()> {
    let mut options = Options::new(options);
    let (mut exec, _) = command(argv, &mut options)?;
    terminal(&mut exec, &mut options)?;
    options.done()
}

fn bulk((verb, paths, options): (String, Vec<OwnedObjectPath>, Values)) -> Result<()> {
    paths.iter().try_for_each(|path| id_of(path).map(drop))?;
    let mut options = Options::new(options);
    Manager::bulk_verb(&verb, &mut options)?;
    options.done()
}

fn stop(options: Values) -> Result<()> {
    let mut options = Options::new(options);
    stop_options(&mut options)?;
    options.done()
}

fn profile((_, devices, options): (Config, Devices, Values)) -> Result<()> {
    options::devices(devices)?;
    options::none(options)
}
