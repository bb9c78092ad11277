//! Each module's documentation names its submodules.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_module_is_named_in_the_documentation_of_its_parent() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut missing = Vec::new();
    for file in rust_files(&source) {
        let text = fs::read_to_string(&file).unwrap();
        let documentation: String = text
            .lines()
            .filter(|line| line.starts_with("//!"))
            .collect();
        let unnamed = text
            .lines()
            .filter_map(submodule)
            .filter(|module| !documentation.contains(&format!("`{module}`")));
        missing.extend(unnamed.map(|module| format!("{}: {module}", file.display())));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The module that a line such as `pub mod name;` declares. Tests need no mention.
fn submodule(line: &str) -> Option<&str> {
    let declaration = line.strip_suffix(';')?;
    let (visibility, module) = declaration.rsplit_once("mod ")?;
    let is_declaration = visibility.is_empty() || visibility.starts_with("pub");
    (is_declaration && module != "tests").then_some(module)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
