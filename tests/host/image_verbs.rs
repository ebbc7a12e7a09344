//! Images: every form of LXD's goes in, is known by LXD's fingerprint, comes out as it was, and is built
//! from Debian's packages on demand.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lxhost_tests::image::{self, Form, Image};
use lxhost_tests::runner::{Base, Stage, Suite};
use lxhost_tests::suite;
use sha2::{Digest, Sha256};

pub(crate) const SUITE: Suite = suite!(
    "image verbs",
    Base::Packaged,
    [
        a_split_image_with_squashfs_is_known_by_lxds_fingerprint,
        a_split_image_with_a_tarball_is_too,
        a_unified_image_is_too_in_every_compression,
        an_exported_image_is_the_imported_one,
        aliases_lead_to_it_until_it_is_deleted,
        instances_of_a_deleted_image_go_on,
        permissions_owners_and_capabilities_survive,
        debian_is_built_on_demand_from_the_mirror,
    ]
);

fn fingerprint(files: &[std::path::PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file)?);
    }
    Ok(hex::encode(hash.finalize()))
}

/// Imports these forms, expects this fingerprint, starts an instance of it, and deletes both.
fn lives(stage: &Stage, image: &Image, forms: &[Form]) -> Result<()> {
    let paths: Vec<String> = forms.iter().map(|form| image.path_in_host(*form)).collect::<Result<_>>()?;
    let wanted = fingerprint(&forms.iter().map(|form| image.path(*form)).collect::<Vec<_>>())?;
    stage.lxctl(&format!("image import {} --alias im", paths.join(" "))).succeed()?;
    let info = stage.lxctl("image info im").succeed()?;
    ensure!(info.contains(&wanted), "not {wanted}: {info}");
    stage.lxctl("launch im i1").succeed()?;
    stage.exec("i1", ["true"]).succeed()?;
    stage.delete("i1")?;
    stage.lxctl("image delete im").succeed()?;
    Ok(())
}

fn a_split_image_with_squashfs_is_known_by_lxds_fingerprint(stage: &Stage) -> Result<()> {
    lives(stage, &image::busybox(&stage.cache)?, &[Form::Metadata, Form::Squashfs])
}

fn a_split_image_with_a_tarball_is_too(stage: &Stage) -> Result<()> {
    lives(stage, &image::busybox(&stage.cache)?, &[Form::Metadata, Form::RootTar])
}

fn a_unified_image_is_too_in_every_compression(stage: &Stage) -> Result<()> {
    let image = image::busybox(&stage.cache)?;
    lives(stage, &image, &[Form::Unified])?;
    let packed = image.path_in_host(Form::Unified)?;
    for compressor in ["cat", "gzip", "xz -1"] {
        stage.host.succeed(["sh", "-ec", &format!("zstd -dc {packed} | {compressor} >/lab/unified")])?;
        let wanted = fingerprint(&[stage.host.share().join("unified")])?;
        stage.lxctl("image import /lab/unified --alias im").succeed()?;
        ensure!(stage.lxctl("image info im").succeed()?.contains(&wanted), "{compressor}: not {wanted}");
        stage.lxctl("image delete im").succeed()?;
    }
    Ok(())
}

fn an_exported_image_is_the_imported_one(stage: &Stage) -> Result<()> {
    let image = image::busybox(&stage.cache)?;
    let (metadata, root) = (image.path_in_host(Form::Metadata)?, image.path_in_host(Form::Squashfs)?);
    stage.lxctl(&format!("image import {metadata} {root} --alias im")).succeed()?;
    stage.host.succeed(["mkdir", "/root/out"])?;
    stage.lxctl("image export im /root/out/im").succeed()?;
    let sums = |files: &str| stage.host.succeed(["sh", "-ec", &format!("sha256sum {files} | cut -d' ' -f1 | sort")]);
    ensure!(sums("/root/out/*")? == sums(&format!("{metadata} {root}"))?);
    stage.lxctl("image delete im").succeed()?;
    Ok(())
}

fn aliases_lead_to_it_until_it_is_deleted(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("image alias create tiny busybox").output()?;
    let list = stage.lxctl("image list --format json").succeed()?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&list)?;
    ensure!(rows.len() == 1, "{list}");
    let fingerprint = rows[0]["fingerprint"].as_str().context("an image has a fingerprint")?;
    stage.lxctl(&format!("launch {} by-print", &fingerprint[..12])).succeed()?;
    stage.delete("by-print")?;
    stage.lxctl("image delete busybox").succeed()?;
    ensure!(stage.lxctl("launch busybox x").fail()?.code == Some(3));
    Ok(())
}

fn instances_of_a_deleted_image_go_on(stage: &Stage) -> Result<()> {
    stage.with_busybox()?;
    stage.lxctl("launch busybox orphan").succeed()?;
    stage.lxctl("image delete busybox").succeed()?;
    stage.exec("orphan", ["true"]).succeed()?;
    stage.lxctl("restart --force orphan").succeed()?;
    stage.exec("orphan", ["ls", "/bin/busybox"]).succeed()?;
    stage.delete("orphan")
}

fn permissions_owners_and_capabilities_survive(stage: &Stage) -> Result<()> {
    stage.with_debian()?;
    stage.lxctl("launch debian owners").succeed()?;
    let said = stage
        .exec("owners", ["stat", "-c", "%a %U:%G %n", "/", "/tmp", "/root", "/etc/shadow", "/usr/bin/passwd", "/usr/bin/chage"])
        .succeed()?;
    let wanted = "755 root:root /\n1777 root:root /tmp\n700 root:root /root\n640 root:shadow /etc/shadow\n4755 root:root /usr/bin/passwd\n2755 root:shadow /usr/bin/chage\n";
    ensure!(said == wanted, "{said}");
    let ping = stage.exec("owners", ["sh", "-c", "getcap /usr/bin/ping 2>/dev/null || od -An -tx1 -N4 /dev/null"]).output()?;
    ensure!(ping.code == Some(0), "{}", ping.describe());
    stage.delete("owners")
}

fn debian_is_built_on_demand_from_the_mirror(stage: &Stage) -> Result<()> {
    let launch = stage.lxctl("launch debian:13 fresh").timeout(Duration::from_secs(200)).output()?;
    ensure!(launch.code == Some(0), "{}", launch.describe());
    stage.lxctl("wait fresh --timeout 60").succeed()?;
    ensure!(stage.exec("fresh", ["systemctl", "is-system-running", "--wait"]).succeed()? == "running\n");
    ensure!(stage.exec("fresh", ["sh", "-c", ". /etc/os-release; echo $VERSION_ID"]).succeed()? == "13\n");
    let again = stage.lxctl("launch debian:13 again").output()?;
    ensure!(
        again.code == Some(0) && again.elapsed * 2 < launch.elapsed,
        "the image was built twice: {:?} {}",
        again.elapsed,
        again.describe()
    );
    stage.delete("fresh again")
}
