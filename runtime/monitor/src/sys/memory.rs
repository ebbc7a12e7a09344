//! Pages that are not needed any more.

use rustix::io::Errno;

/// Unmaps the pages of all program text (madvise(2), MADV_DONTNEED): what still runs comes back from the page cache at
/// its next use, what has run once (a launch, the dynamic linker) does not. Freed heap goes back as well.
pub(crate) fn forget_text() -> Result<(), Errno> {
    #[cfg(target_env = "gnu")]
    // SAFETY: gives free pages of the heap back; no pointer to them exists.
    unsafe {
        libc::malloc_trim(0);
    }
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(|_| Errno::IO)?;
    // Collected before the first is dropped, or reading on would bring back what was just forgotten.
    let ranges: Vec<(usize, usize)> = maps.lines().filter_map(text_of).collect();
    drop(maps);
    for (start, end) in ranges {
        // SAFETY: the range is text or the head of a file, mapped read-only, which nothing has written to: dropped
        // pages are read again as they were. What the dynamic linker relocates is neither executable nor at offset 0.
        super::checked(unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) }.into())?;
    }
    Ok(())
}

/// The range of a line of maps (proc_pid_maps(5)), if it is text of a file.
fn text_of(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, flags, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let path = fields.nth(2)?;
    let is_head = flags == "r--p" && offset.bytes().all(|digit| digit == b'0');
    if !(flags == "r-xp" || is_head) || !path.starts_with('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_of_files_is_forgotten() {
        let text = "55d0c0a0d000-55d0c0a6f000 r-xp 0000d000 08:01 1234                       /usr/libexec/lxhost/lxhost-runtime";
        assert_eq!(text_of(text), Some((0x55d0_c0a0_d000, 0x55d0_c0a6_f000)));
        assert_eq!(text_of(&text.replace("r-xp", "r--p")), None, "may be relocated");
        assert!(text_of(&text.replace("r-xp", "r--p").replace("0000d000 ", "00000000 ")).is_some(), "the head");
        assert_eq!(text_of("7ffd9c5f2000-7ffd9c5f4000 r-xp 00000000 00:00 0                          [vdso]"), None);
        assert_eq!(text_of("7f0000000000-7f0000001000 r-xp 00000000 00:00 0"), None);
    }

    #[test]
    fn a_program_goes_on_without_its_text() {
        forget_text().unwrap();
        assert_eq!(format!("{:?}", [1, 2].map(|n| n * 2)), "[2, 4]");
    }
}
