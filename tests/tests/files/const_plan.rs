//! The plan at compile time: from an image that a program includes, the same plan as at run time; and an arena that is a
//! byte too small is a compile error that has both numbers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use bitnet_edge_core::{Cpu, KvType, MemoryPlan, Model, PlanOptions, Session};
use bitnet_edge_std::Arena;
use bitnet_edge_tests::models::STORY;

/// Where cargo put what this test is linked with, and the newest library of the core there.
fn core_library() -> (PathBuf, PathBuf) {
    let test = env::current_exe().unwrap();
    let folder = test.parent().unwrap().to_owned();
    let libraries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("libbitnet_edge_core-") && name.ends_with(".rlib")
    });
    let newest = libraries.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    (folder, newest.expect("this test is linked with the core"))
}

fn compile(image: &Path, arena_bytes: usize, out: &Path) -> Output {
    let (folder, core) = core_library();
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--color=never", "-o"])
        .arg(out)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/const_plan/firmware.rs"))
        .arg("-L")
        .arg(format!("dependency={}", folder.display()))
        .arg("--extern")
        .arg(format!("bitnet_edge_core={}", core.display()))
        .env("IMAGE", image)
        .env("ARENA_BYTES", arena_bytes.to_string())
        .output()
        .unwrap()
}

#[test]
fn a_plan_that_does_not_fit_is_a_compile_error() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (path, program) = (folder.join("const-plan.bpk"), folder.join("const-plan"));
    let image = STORY.image();
    fs::write(&path, image.as_slice()).unwrap();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let config = model.config();
    let options = PlanOptions {
        context: 100,
        kv: KvType::I8,
        batch: 4,
        prompt_bytes: 200,
        ..PlanOptions::new(&config)
    };
    let plan = MemoryPlan::new(&config, &options).unwrap();

    let compiled = compile(&path, plan.bytes(), &program);
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
    let mut session = Session::new(&model, &plan, cpu).unwrap();
    let bits: Vec<u32> = session.decode(1).unwrap().iter().map(|l| l.to_bits()).collect();
    let run = Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8(run.stdout).unwrap(), format!("{plan:?}\n{bits:?}\n"));

    let refused = compile(&path, plan.bytes() - 1, &program);
    let text = String::from_utf8(refused.stderr).unwrap();
    let expected =
        format!("the arena has {} bytes and the memory plan needs {}", plan.bytes() - 1, plan.bytes());
    println!("{text}");
    assert!(!refused.status.success() && text.contains(&expected), "{text}");
}
