use super::*;

fn executable(dir: &Path) -> PathBuf {
    std::fs::create_dir_all(dir).expect("a directory");
    let file = dir.join("anvil");
    std::fs::write(&file, "").expect("a file");
    file
}

#[test]
fn anvil_is_looked_for_in_the_variable_then_the_path_then_the_tools() {
    let root = tempfile::tempdir().expect("a directory");
    let named = executable(&root.path().join("named"));
    let on_path = executable(&root.path().join("path"));
    let tools = root.path().join("cache/groat/tools");
    let package = "contracts-1/node_modules/@foundry-rs/anvil-linux-amd64/bin";
    let in_tools = executable(&tools.join(package));
    let cache = root.path().join("cache");
    let look = |names: &[(&str, &Path)]| {
        let names: Vec<_> = names
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_os_str().to_owned()))
            .collect();
        locate(&move |name| {
            names
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
        })
    };
    let path = on_path.parent().expect("a parent");
    let all = [
        ("GROAT_ANVIL", named.as_path()),
        ("PATH", path),
        ("XDG_CACHE_HOME", &cache),
    ];
    assert_eq!(look(&all), Some(named.clone()));
    assert_eq!(look(&all[1..]), Some(on_path.clone()));
    assert_eq!(look(&all[2..]), Some(in_tools.clone()));
    assert_eq!(look(&[("GROAT_TOOLS", &tools)]), Some(in_tools));
    assert_eq!(look(&[]), None);
    let missing = root.path().join("nowhere");
    assert_eq!(look(&[("GROAT_ANVIL", &missing), ("PATH", path)]), None);
}
