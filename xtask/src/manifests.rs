//! `cargo xtask manifests`: the files in `k8s/` against the Kubernetes API's schemas, and against each other.
//!
//! The schemas come from the Python package kubernetes-validate, in a virtual environment under `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{Missing, root};

/// The oldest Kubernetes in which all that the manifests use is stable (podFailurePolicy is, since 1.31), and the newest
/// that the schemas know.
const KUBERNETES: [&[&str]; 2] = [&["--kubernetes-version", "1.31"], &[]];

/// What has the schemas, in a release that is known to have those two.
const VALIDATOR: &str = "kubernetes-validate==1.37.0";

/// Prints every document of the YAML files it is given, as one JSON list.
const TO_JSON: &str = "
import json, sys, yaml
documents = [d for f in sys.argv[1:] for d in yaml.safe_load_all(open(f)) if d is not None]
json.dump(documents, sys.stdout)
";

pub(crate) fn run(missing: Missing) -> Result<()> {
    let python = match Python::provide() {
        Ok(python) => python,
        Err(error) => return missing.judge("manifests", error),
    };
    for file in files()? {
        for version in KUBERNETES {
            python.validate(&file, version)?;
        }
    }
    let manifests = Manifests::load()?;
    for job in manifests.of_kind("ScaledJob") {
        python.validate_scaled_job(job)?;
    }
    manifests.check_references()?;
    println!("{} manifests are valid", manifests.documents.len());
    Ok(())
}

/// All documents of `k8s/`.
pub(crate) struct Manifests {
    documents: Vec<Value>,
}

impl Manifests {
    /// Parses every file in `k8s/`.
    pub(crate) fn load() -> Result<Self> {
        let output = Command::new(&Python::provide()?.program)
            .args(["-c", TO_JSON])
            .args(files()?)
            .output()?;
        ensure!(
            output.status.success(),
            "parsing the manifests: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Self {
            documents: serde_json::from_slice(&output.stdout)?,
        })
    }

    /// The object of that kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<&Value> {
        let mut candidates = self
            .documents
            .iter()
            .filter(|object| object["kind"] == kind);
        candidates
            .find(|object| object["metadata"]["name"] == name)
            .with_context(|| format!("no {kind} {name}"))
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.documents
            .iter()
            .filter(move |object| object["kind"] == kind)
    }

    /// Every key of a Secret or `ConfigMap` that a manifest names exists.
    fn check_references(&self) -> Result<()> {
        for reference in self
            .documents
            .iter()
            .flat_map(|document| all_under(document, "secretKeyRef"))
        {
            self.secret(text(&reference["name"])?, text(&reference["key"])?)?;
        }
        for reference in self
            .documents
            .iter()
            .flat_map(|document| all_under(document, "secretTargetRef"))
        {
            for entry in reference.as_array().context("secretTargetRef is no list")? {
                self.secret(text(&entry["name"])?, text(&entry["key"])?)?;
            }
        }
        for volume in self
            .documents
            .iter()
            .flat_map(|document| all_under(document, "configMap"))
        {
            self.get("ConfigMap", text(&volume["name"])?)?;
        }
        Ok(())
    }

    /// A value out of a Secret.
    pub(crate) fn secret(&self, name: &str, key: &str) -> Result<&str> {
        text(&self.get("Secret", name)?["stringData"][key])
            .with_context(|| format!("Secret {name}, key {key}"))
    }
}

/// The values of all keys of that name, however deep.
fn all_under<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| {
                if name == key {
                    vec![member]
                } else {
                    all_under(member, key)
                }
            })
            .collect(),
        Value::Array(members) => members
            .iter()
            .flat_map(|member| all_under(member, key))
            .collect(),
        _ => Vec::new(),
    }
}

/// A string, where the manifest must have one.
pub(crate) fn text(value: &Value) -> Result<&str> {
    value
        .as_str()
        .with_context(|| format!("{value} is no string"))
}

/// A Python with the packages that read and check manifests.
struct Python {
    program: PathBuf,
}

impl Python {
    fn provide() -> Result<Self> {
        let folder = root().join("target/manifests-venv");
        let python = Self {
            program: folder.join("bin/python"),
        };
        if !python.runs(&["-c", "import kubernetes_validate"]) {
            must_run(
                Command::new("python3")
                    .args(["-m", "venv", "--clear"])
                    .arg(&folder),
            )?;
            must_run(Command::new(&python.program).args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                VALIDATOR,
            ]))?;
        }
        Ok(python)
    }

    fn runs(&self, args: &[&str]) -> bool {
        Command::new(&self.program)
            .args(args)
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// Unknown kinds (KEDA's) get a warning only; unknown and misspelt fields are errors.
    fn validate(&self, file: &Path, version: &[&str]) -> Result<()> {
        must_run(
            Command::new(&self.program)
                .args([
                    "-m",
                    "kubernetes_validate",
                    "--strict",
                    "--quiet",
                    "--no-warn",
                ])
                .args(version)
                .arg(file),
        )
    }

    /// What a `ScaledJob` starts is a Job, so it must be valid as one.
    fn validate_scaled_job(&self, scaled: &Value) -> Result<()> {
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": scaled["metadata"]["name"] },
            "spec": scaled["spec"]["jobTargetRef"],
        });
        let file = NamedTempFile::with_suffix(".json")?;
        fs::write(file.path(), job.to_string())?;
        self.validate(file.path(), &[])
    }
}

fn must_run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let output = command
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "{command:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&said)
        );
    }
    Ok(())
}

fn files() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join("k8s"))?.collect::<Result<Vec<_>, _>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let mut manifests: Vec<PathBuf> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    manifests.sort();
    Ok(manifests)
}
