//! Packs a root tree into the forms of an LXD image. Depends on tar, mksquashfs, xz and zstd. Called by
//! the makers of images, with a directory that nobody else uses.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Form;
use crate::tool;

/// What the metadata says of an image.
pub(super) struct Metadata<'a> {
    pub(super) os: &'a str,
    pub(super) release: &'a str,
    pub(super) variant: &'a str,
    /// Templates as LXD's images have them: path in the root, name of the template, its text.
    pub(super) templates: &'a [(&'a str, &'a str, &'a str)],
}

impl Metadata<'_> {
    fn yaml(&self) -> String {
        let (os, release, variant) = (self.os, self.release, self.variant);
        let architecture = std::env::consts::ARCH;
        let mut yaml = format!(
            "architecture: {architecture}\ncreation_date: 1763769600\nexpiry_date: 2079302400\nproperties:\n  \
             architecture: {architecture}\n  description: {os} {release} ({variant})\n  name: {os}-{release}-{variant}\n  \
             os: {os}\n  release: \"{release}\"\n  serial: \"20251122\"\n  variant: {variant}\n"
        );
        yaml.push_str(if self.templates.is_empty() { "templates: {}\n" } else { "templates:\n" });
        for (path, name, _) in self.templates {
            yaml.push_str(&format!("  {path}:\n    when:\n    - create\n    - copy\n    template: {name}\n"));
        }
        yaml
    }
}

/// Writes every form of the image of `root` into `directory`, which is made.
pub(super) fn pack(root: &Path, metadata: &Metadata<'_>, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let work = tempfile::tempdir_in(directory)?;
    fs::write(work.path().join("metadata.yaml"), metadata.yaml())?;
    fs::create_dir(work.path().join("templates"))?;
    for (_, name, text) in metadata.templates {
        fs::write(work.path().join("templates").join(name), text)?;
    }
    // Unified images have the root at rootfs/ beside the metadata.
    std::os::unix::fs::symlink(root, work.path().join("rootfs"))?;
    let form = |form: Form| directory.join(form.file());
    let parts = ["metadata.yaml", "templates"];
    tar(&form(Form::Metadata), "xz", work.path(), &[], &parts)?;
    tar(&form(Form::RootTar), "zstd -1 -T0", root, &[], &["."])?;
    let root_name = root.file_name().context("a root has a name")?.to_string_lossy().into_owned();
    let rename = format!("--transform=s,^{root_name},rootfs,S");
    let above = root.parent().context("a root has a parent")?;
    tar(
        &form(Form::Unified),
        "zstd -1 -T0",
        work.path(),
        &[&rename],
        &[&parts[..], &["-C", &above.to_string_lossy(), &root_name]].concat(),
    )?;
    tool::run(Command::new("mksquashfs").arg(root).arg(form(Form::Squashfs)).args([
        "-quiet",
        "-no-progress",
        "-comp",
        "zstd",
        "-Xcompression-level",
        "3",
        "-noappend",
    ]))?;
    Ok(())
}

fn tar(file: &Path, compressor: &str, directory: &Path, options: &[&str], what: &[&str]) -> Result<()> {
    tool::run(
        Command::new("tar")
            .args(["--create", "--numeric-owner", "--sort=name", "--xattrs", "--xattrs-include=*", "--acls"])
            .args(options)
            .arg(format!("--use-compress-program={compressor}"))
            .arg(format!("--file={}", file.display()))
            .arg("-C")
            .arg(directory)
            .args(what),
    )?;
    Ok(())
}
