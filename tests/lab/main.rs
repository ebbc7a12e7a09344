//! lxhost-lab: throw-away hosts by hand. `up` boots one with the current package in it and leaves it
//! running, `sh` enters it, `down` ends it. Depends on the library of this crate. Called by the Makefile.

mod hosts;
mod road;

use anyhow::{Result, bail};
use lxhost_tests::cache::Cache;
use lxhost_tests::host;
use lxhost_tests::image::{self, Form};
use lxhost_tests::recipe::{Recipe, Zfs};

const USAGE: &str = "\
usage: lxhost-lab up [NAME]                  boot a host with the newest target/lxhost_*.deb, leave it running
       lxhost-lab sh [NAME]                  a shell in it
       lxhost-lab run NAME COMMAND...        a command in it, as root
       lxhost-lab as USER NAME COMMAND...    a command in it, as an ordinary user (alice and bob are there)
       lxhost-lab down [NAME]                end it and everything in it
       lxhost-lab list                       the hosts that run
       lxhost-lab try                        walk the README's first road in a new host
       lxhost-lab images                     make the test images and say where they are
       lxhost-lab zfs                        build the modules of ZFS for full hosts, unless that is done
NAME is lab unless given. A host without the package: LXHOST_DEB=none lxhost-lab up.";

fn main() {
    host::keeper::run_if_asked();
    let status = command().unwrap_or_else(|error| {
        eprintln!("lxhost-lab: {error:#}");
        1
    });
    std::process::exit(status);
}

/// Does what the arguments say; gives the exit status.
fn command() -> Result<i32> {
    let cache = Cache::open()?;
    host::sweep(&cache)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["up"] => hosts::up(&cache, "lab").map(|()| 0),
        ["up", name] => hosts::up(&cache, name).map(|()| 0),
        ["serve", name] => hosts::serve(&cache, name).map(|()| 0),
        ["sh"] => hosts::run(&cache, "lab", None, &["bash", "-l"]),
        ["sh", name] => hosts::run(&cache, name, None, &["bash", "-l"]),
        ["run", name, argv @ ..] if !argv.is_empty() => hosts::run(&cache, name, None, argv),
        ["as", user, name, argv @ ..] if !argv.is_empty() => hosts::run(&cache, name, Some(user), argv),
        ["down"] => hosts::down(&cache, "lab").map(|()| 0),
        ["down", name] => hosts::down(&cache, name).map(|()| 0),
        ["list"] => hosts::list(&cache).map(|()| 0),
        ["try"] => road::walk(&cache).map(|()| 0),
        ["images"] => images(&cache).map(|()| 0),
        ["zfs"] => zfs(&cache).map(|()| 0),
        _ => bail!("{USAGE}"),
    }
}

fn zfs(cache: &Cache) -> Result<()> {
    let tree = Recipe::full_host().tree(cache)?;
    println!("{}", Zfs::build(cache, &tree)?.name());
    Ok(())
}

fn images(cache: &Cache) -> Result<()> {
    for image in [image::busybox(cache)?, image::debian_without_udev(cache)?, image::debian(cache)?, image::openrc(cache)?] {
        for form in [Form::Metadata, Form::Squashfs, Form::RootTar, Form::Unified] {
            println!("{}  {}", image.path(form).display(), image.path_in_host(form)?);
        }
    }
    Ok(())
}
