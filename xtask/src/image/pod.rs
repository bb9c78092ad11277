//! A pod's container as a Docker container: what Kubernetes would make of the manifest's environment, command, volumes
//! and security context, on a network whose names resolve as a cluster's do.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use super::docker::{Container, Network, Volume};
use crate::manifests::{Manifests, text};

/// A Service's name is short for one in this domain, which the pod's resolver searches.
pub(crate) const DOMAIN: &str = "default.svc.cluster.local";

/// `docker create` options that make a container's resolver that of a pod.
pub(crate) const RESOLVER: [&str; 4] = [
    "--dns-search=default.svc.cluster.local",
    "--dns-search=svc.cluster.local",
    "--dns-search=cluster.local",
    "--dns-option=ndots:5",
];

/// Variables that Kubernetes sets in every pod for the Service `rabbitmq-service`; RabbitMQ's own begin the same way.
const SERVICE_VARIABLES: [&str; 4] = [
    "--env=RABBITMQ_SERVICE_SERVICE_HOST=rabbitmq-service",
    "--env=RABBITMQ_SERVICE_SERVICE_PORT=5672",
    "--env=RABBITMQ_SERVICE_PORT=tcp://rabbitmq-service:5672",
    "--env=RABBITMQ_SERVICE_PORT_5672_TCP_PORT=5672",
];

/// Makes pods from templates, on one network.
pub(crate) struct Cluster<'a> {
    pub(crate) manifests: &'a Manifests,
    pub(crate) network: &'a Network,
}

/// A container made from a template, and the volumes it has mounted.
pub(crate) struct Pod {
    pub(crate) container: Container,
    _volumes: Vec<Volume>,
    _folders: Vec<TempDir>,
}

impl Cluster<'_> {
    /// Runs the template's init containers to their end, and creates its container, which is not started yet. `options`
    /// are for `docker create`, beside those that the template implies.
    pub(crate) fn pod(&self, template: &Value, options: &[String]) -> Result<Pod> {
        let spec = &template["spec"];
        for init in spec["initContainers"].as_array().into_iter().flatten() {
            let pod = self.container(spec, init, &[])?;
            let status = pod.container.run()?;
            if status != 0 {
                bail!(
                    "an init container ended with {status}:\n{}",
                    pod.container.logs()?
                );
            }
        }
        let [main] = spec["containers"]
            .as_array()
            .context("no containers")?
            .as_slice()
        else {
            bail!("more than one container");
        };
        self.container(spec, main, options)
    }

    fn container(&self, spec: &Value, container: &Value, options: &[String]) -> Result<Pod> {
        let environment = self.environment(container)?;
        let mut args = vec![format!("--network={}", self.network.name())];
        args.extend(
            [RESOLVER, SERVICE_VARIABLES]
                .concat()
                .into_iter()
                .map(str::to_owned),
        );
        args.extend(
            environment
                .iter()
                .map(|(name, value)| format!("--env={name}={value}")),
        );
        args.extend(security(&container["securityContext"]));
        args.extend_from_slice(options);

        let (mut volumes, mut folders) = (Vec::new(), Vec::new());
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let path = text(&mount["mountPath"])?;
            if let Some(folder) = self.folder(spec, mount)? {
                let source = folder
                    .path()
                    .join(mount["subPath"].as_str().unwrap_or_default());
                args.push(format!("--volume={}:{path}", source.display()));
                folders.push(folder);
            } else {
                let claim = Volume::create()?;
                args.push(format!("--volume={}:{path}", claim.name()));
                volumes.push(claim);
            }
        }

        let words = |key: &str| -> Result<Vec<String>> {
            let list = container[key].as_array().into_iter().flatten();
            list.map(|word| Ok(expand(text(word)?, &environment)))
                .collect()
        };
        let mut command = words("command")?;
        if !command.is_empty() {
            args.push(format!("--entrypoint={}", command.remove(0)));
        }
        args.push(text(&container["image"])?.to_owned());
        args.append(&mut command);
        args.append(&mut words("args")?);
        Ok(Pod {
            container: Container::create(&args)?,
            _volumes: volumes,
            _folders: folders,
        })
    }

    fn environment(&self, container: &Value) -> Result<BTreeMap<String, String>> {
        let mut environment = BTreeMap::new();
        for variable in container["env"].as_array().into_iter().flatten() {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            let value = if reference.is_null() {
                expand(text(&variable["value"])?, &environment)
            } else {
                self.manifests
                    .secret(text(&reference["name"])?, text(&reference["key"])?)?
                    .to_owned()
            };
            environment.insert(text(&variable["name"])?.to_owned(), value);
        }
        Ok(environment)
    }

    /// What an `emptyDir` or a `configMap` shows to a container; nothing if the mount is of a claimed volume.
    fn folder(&self, spec: &Value, mount: &Value) -> Result<Option<TempDir>> {
        let volumes = spec["volumes"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let Some(volume) = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"])
        else {
            return Ok(None);
        };
        let folder = TempDir::new()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777))?;
        if let Some(name) = volume["configMap"]["name"].as_str() {
            let data = &self.manifests.get("ConfigMap", name)?["data"];
            for (file, content) in data.as_object().context("a ConfigMap without data")? {
                fs::write(folder.path().join(file), text(content)?)?;
            }
        }
        Ok(Some(folder))
    }
}

/// Puts `$(NAME)` in place, as Kubernetes does: an unknown name stays as it is.
fn expand(word: &str, environment: &BTreeMap<String, String>) -> String {
    let replaced = |word: String, (name, value): (&String, &String)| {
        word.replace(&format!("$({name})"), value)
    };
    environment.iter().fold(word.to_owned(), replaced)
}

fn security(context: &Value) -> Vec<String> {
    let mut options = Vec::new();
    if context["readOnlyRootFilesystem"] == true {
        options.push("--read-only".to_owned());
    }
    if context["allowPrivilegeEscalation"] == false {
        options.push("--security-opt=no-new-privileges".to_owned());
    }
    for capability in context["capabilities"]["drop"]
        .as_array()
        .into_iter()
        .flatten()
    {
        options.push(format!(
            "--cap-drop={}",
            capability.as_str().unwrap_or_default()
        ));
    }
    options
}
