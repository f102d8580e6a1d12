//! NVIDIA's Jetson boards: a GPU that this version does not use, which a user should know.

use std::fs;
use std::path::Path;

/// What to say where `root`, the root of the file system, is a Jetson's.
pub(crate) fn note(root: &Path) -> Option<&'static str> {
    // NVIDIA's own releases have the file; other systems tell by the device tree, names with a NUL behind each.
    let compatible = fs::read(root.join("proc/device-tree/compatible")).unwrap_or_default();
    let tegra = compatible.split(|&byte| byte == 0).any(|name| name.starts_with(b"nvidia,tegra"));
    (tegra || root.join("etc/nv_tegra_release").exists()).then_some(
        "note: this is a Jetson, whose GPU this version has no backend for: the model runs on the CPU",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with one file.
    fn root_with(path: &str, content: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        root
    }

    #[test]
    fn a_jetson_is_known_by_its_release_or_its_device_tree() {
        let release = root_with("etc/nv_tegra_release", b"# R36 (release), REVISION: 4.3\n");
        assert!(note(release.path()).unwrap().contains("GPU"));
        let tree = root_with(
            "proc/device-tree/compatible",
            b"nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
        );
        assert!(note(tree.path()).is_some());
        let pi = root_with("proc/device-tree/compatible", b"raspberrypi,5-model-b\0brcm,bcm2712\0");
        assert_eq!(note(pi.path()), None);
        assert_eq!(note(root_with("etc/hostname", b"nvidia,tegra\n").path()), None);
    }
}
