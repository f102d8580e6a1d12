//! The operating system, whether the processor is a real one, and where files lie.

use std::path::Path;

use serde::Serialize;

use super::Root;
use super::root::field;

/// The operating system.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct System {
    pub(crate) os: String,
    /// The architecture that this program was compiled for.
    pub(crate) architecture: String,
    /// A name and version, such as `Debian GNU/Linux 12 (bookworm)`.
    pub(crate) release: Option<String>,
    pub(crate) kernel: Option<String>,
    /// Threads that ran or waited for a processor, on the average of the last minute.
    pub(crate) load: Option<f64>,
    /// By what the processor is emulated, if that can be seen: its speed says nothing about a machine then.
    pub(crate) emulation: Option<String>,
    /// A board whose GPU this version does not use.
    pub(crate) note: Option<String>,
}

impl System {
    pub(super) fn read(root: &Root) -> Self {
        let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
        let release = root.read("etc/os-release").unwrap_or_default();
        let release = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            release: release.map(|name| name.trim_matches('"').to_owned()),
            kernel: root.read("proc/sys/kernel/osrelease"),
            load: root.read("proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
            emulation: emulation(root, architecture),
            note: crate::jetson::note(root.path()).map(|note| note.trim_start_matches("note: ").to_owned()),
        }
    }
}

fn emulation(root: &Root, architecture: &str) -> Option<String> {
    // A kernel tells what it runs on; an emulator of programs alone does not hide that.
    if let Some(kernel) = root.read("proc/sys/kernel/arch")
        && !same_architecture(&kernel, architecture)
    {
        return Some(format!("programs for {architecture} on a kernel for {kernel}"));
    }
    let info = root.read("proc/cpuinfo").unwrap_or_default();
    let name = field(&info, "model name").unwrap_or_default();
    if name.contains("QEMU TCG") || name.contains("QEMU Virtual CPU") {
        return Some(format!("QEMU ({name})"));
    }
    if field(&info, "vendor_id") == Some("VirtualApple") {
        return Some("Rosetta".to_owned());
    }
    // ARM keeps this implementer for software.
    (field(&info, "CPU implementer") == Some("0x00"))
        .then(|| "a processor made by software (QEMU)".to_owned())
}

fn same_architecture(kernel: &str, program: &str) -> bool {
    let common = |name: &str| match name {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        name if name.starts_with("arm") => "arm".to_owned(),
        "i386" | "i486" | "i586" | "i686" => "x86".to_owned(),
        name => name.to_owned(),
    };
    let (kernel, program) = (common(kernel), common(program));
    // 32-bit programs run on the 64-bit processors of their family as they are.
    kernel == program
        || matches!((kernel.as_str(), program.as_str()), ("x86_64", "x86") | ("aarch64", "arm"))
        || (kernel.starts_with("riscv") && program.starts_with("riscv"))
}

/// The kind of file system that a file lies on, such as `ext4` or `nfs4`; `None` where the system does not tell.
pub(crate) fn file_system(root: &Root, file: &Path) -> Option<String> {
    let mounts = root.read("proc/self/mountinfo")?;
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        // The optional fields end with a dash.
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let Some(place) = before.split(' ').nth(4) else { continue };
        let place = unescaped(place);
        // The last mount over a place is the one that is seen.
        if file.starts_with(&place) && best.is_none_or(|(len, _)| len <= place.len()) {
            best = Some((place.len(), after.split(' ').next()?));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

/// Blanks and the like are octal numbers behind a backslash there.
fn unescaped(place: &str) -> String {
    let mut text = place.to_owned();
    for (code, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(code, character);
    }
    text
}

/// Whether files of this kind of file system come over a network, or from outside a virtual machine, whenever the page cache
/// does not have them.
pub(crate) fn is_remote(kind: &str) -> bool {
    const REMOTE: [&str; 16] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "virtiofs",
        "drvfs",
        "vboxsf",
        "vmhgfs",
        "gfs2",
    ];
    let kind = kind.strip_prefix("fuse.").unwrap_or(kind);
    REMOTE.contains(&kind) || ["sshfs", "rclone", "gcsfuse", "s3fs", "davfs"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::root::tests::root_with;

    #[test]
    fn the_release_is_named() {
        let folder = root_with([
            ("etc/os-release", "NAME=\"X\"\nPRETTY_NAME=\"X Linux 12\"\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-9\n"),
            ("proc/loadavg", "1.25 0.50 0.10 2/300 4567\n"),
        ]);
        let system = System::read(&Root::at(folder.path()));
        assert_eq!(system.release.as_deref(), Some("X Linux 12"));
        assert_eq!(system.kernel.as_deref(), Some("6.1.0-9"));
        assert_eq!((system.load, system.emulation, system.note), (Some(1.25), None, None));
    }

    #[test]
    fn an_emulator_is_seen_where_it_shows() {
        let seen = |files: &[(&str, &str)], architecture| {
            let folder = root_with(files.iter().copied());
            emulation(&Root::at(folder.path()), architecture)
        };
        let kernel = [("proc/sys/kernel/arch", "x86_64\n")];
        assert_eq!(seen(&kernel, "x86_64"), None);
        assert_eq!(seen(&kernel, "x86"), None);
        assert!(seen(&kernel, "aarch64").unwrap().contains("aarch64 on a kernel for x86_64"));
        assert_eq!(seen(&[("proc/sys/kernel/arch", "arm64")], "aarch64"), None);
        let qemu = [("proc/cpuinfo", "model name\t: QEMU TCG CPU version 2.5+\n")];
        assert!(seen(&qemu, "x86_64").unwrap().starts_with("QEMU"));
        assert_eq!(
            seen(&[("proc/cpuinfo", "vendor_id\t: VirtualApple\n")], "x86_64").as_deref(),
            Some("Rosetta")
        );
        assert!(seen(&[("proc/cpuinfo", "CPU implementer\t: 0x00\n")], "aarch64").is_some());
        assert_eq!(seen(&[("proc/cpuinfo", "CPU implementer\t: 0x41\n")], "aarch64"), None);
    }

    #[test]
    fn a_file_lies_on_the_mount_with_the_longest_name() {
        let folder = root_with([(
            "proc/self/mountinfo",
            "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n2 1 0:40 / /mnt/models\\040here rw - nfs4 host:/x rw\n\
             3 1 0:41 / /mnt rw shared:2 master:1 - fuse.sshfs me@host: rw\nnonsense\n",
        )]);
        let root = Root::at(folder.path());
        let kind = |path: &str| file_system(&root, Path::new(path)).unwrap();
        assert_eq!(kind("/home/a.bpk"), "ext4");
        assert_eq!(kind("/mnt/a.bpk"), "fuse.sshfs");
        assert_eq!(kind("/mnt/models here/a.bpk"), "nfs4");
        assert_eq!(kind("/mnt/modelsother"), "fuse.sshfs");
        assert!(is_remote("nfs4") && is_remote("fuse.sshfs") && !is_remote("ext4") && !is_remote("overlay"));
    }
}
