//! The manifests of deploy/kubernetes: their schemas, what a deployment of this program must get right, and that the program
//! takes their settings. They are never run here; there is no cluster.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{autoscale, child, files, metrics::DOCUMENT};

mod pods;

pub(crate) const DIR: &str = "deploy/kubernetes";
/// The oldest that knows all fields (`sleep` in `preStop`), and the newest whose schemas the validator brings along.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];
const KUSTOMIZATION: &str = "kustomization.yaml";
const AUTOSCALING: &str = "autoscaling.yaml";
/// Makes one JSON list of the documents of all its arguments.
const TO_JSON: &str = "import sys, json, yaml
print(json.dumps([one for name in sys.argv[1:] for one in yaml.safe_load_all(open(name))]))";

/// `python` is the linters' interpreter, `binary` the program.
pub(crate) fn check(root: &Path, python: &Path, dir: &Path, binary: &Path) -> Result<()> {
    let manifests = files::below(&root.join(DIR), "yaml")?;
    // Neither is an object of Kubernetes itself.
    let known = |path: &&PathBuf| !path.ends_with(KUSTOMIZATION) && !path.ends_with(AUTOSCALING);
    for version in VERSIONS {
        let mut validator = child::command(python.with_file_name("kubernetes-validate"));
        child::run(validator.args(["--strict", "-k", version]).args(manifests.iter().filter(known)))?;
    }
    let told = child::output(child::command(python).args(["-c", TO_JSON]).args(&manifests))?;
    let objects: Vec<Value> = serde_json::from_str(&told)?;
    let document = files::read(&root.join(DOCUMENT))?;
    let mut faults = faults(&objects, &document)?;
    faults.extend(left_out(&manifests, &files::read(&root.join(DIR).join(KUSTOMIZATION))?));
    ensure!(faults.is_empty(), "{DIR} is at fault:\n  {}", faults.join("\n  "));
    fs::create_dir_all(dir)?;
    let key = child::output(child::command(binary).args(["credentials", "new-key"]).current_dir(dir))?;
    for pod in pods::all(&objects) {
        let below = dir.join(pod.name());
        takes_settings(&pod, &below, binary, &key).with_context(|| format!("the settings of {}", pod.name()))?;
    }
    if child::works(child::command("kubectl").args(["version", "--client"])) {
        let mut kustomize = child::command("kubectl");
        child::output(kustomize.arg("kustomize").arg(root.join(DIR)))?;
        println!("{DIR}: put together by kubectl kustomize");
    } else {
        println!("SKIPPED: kubectl kustomize {DIR} (kubectl is not installed; the schemas were checked)");
    }
    Ok(())
}

fn faults(objects: &[Value], document: &str) -> Result<Vec<String>> {
    let pods = pods::all(objects);
    let mut faults: Vec<String> = pods.iter().flat_map(pods::faults).collect();
    for object in objects {
        let named = format!("{} {}", object["kind"].as_str().unwrap_or("?"), object["metadata"]["name"]);
        let selector = match object["kind"].as_str() {
            Some("Service") => &object["spec"]["selector"],
            Some("PodDisruptionBudget") => &object["spec"]["selector"]["matchLabels"],
            Some("NetworkPolicy") => &object["spec"]["podSelector"]["matchLabels"],
            Some("ScaledObject") => {
                faults.extend(autoscaling(object, &pods, document)?);
                continue;
            }
            _ => continue,
        };
        let chosen: Vec<_> = pods.iter().filter(|pod| pod.has_labels(selector)).collect();
        if chosen.is_empty() {
            faults.push(format!("{named} selects none of the pods"));
        }
        if object["kind"] == "Service" {
            for port in object["spec"]["ports"].as_array().into_iter().flatten() {
                let there = chosen.iter().all(|pod| pod.port(&port["targetPort"]) == port["port"].as_u64());
                if !there {
                    faults.push(format!("{named}: its pods have no port {} {}", port["targetPort"], port["port"]));
                }
            }
        }
    }
    Ok(faults)
}

/// It scales the workers by the document's expression, whose value is a number of them.
fn autoscaling(object: &Value, pods: &[pods::Pod], document: &str) -> Result<Vec<String>> {
    let spec = &object["spec"];
    let trigger = &spec["triggers"][0]["metadata"];
    let target = pods.iter().find(|pod| pod.name() == spec["scaleTargetRef"]["name"]);
    let asked = autoscale::one_line(trigger["query"].as_str().unwrap_or_default());
    let checks = [
        (
            target.is_some_and(|pod| pod.role() == "worker" && pod.kind() == spec["scaleTargetRef"]["kind"]),
            "it scales no workers",
        ),
        (asked == autoscale::expression(document)?, "its query is not the expression of docs/metrics.md"),
        (trigger["threshold"] == "1", "its query gives workers, so its threshold is 1"),
        // SEND-SAFETY: nothing known would count as 0, and be acted upon.
        (trigger["ignoreNullValues"] == "false", "ignoreNullValues must be false"),
        (spec["minReplicaCount"].as_u64() >= Some(1), "it must leave a worker"),
        (spec["maxReplicaCount"].as_u64() > spec["minReplicaCount"].as_u64(), "it has no greatest number"),
    ];
    Ok(checks.iter().filter(|(right, _)| !right).map(|(_, fault)| format!("ScaledObject: {fault}")).collect())
}

/// Each file is one of the kustomization's, perhaps behind a `#`.
fn left_out(manifests: &[PathBuf], kustomization: &str) -> Vec<String> {
    let names = manifests.iter().filter_map(|path| path.file_name()?.to_str()).filter(|name| *name != KUSTOMIZATION);
    let listed = |name: &str| {
        kustomization.lines().any(|line| line.trim_start().trim_start_matches("# ").strip_prefix("- ") == Some(name))
    };
    names.filter(|name| !listed(name)).map(|name| format!("{KUSTOMIZATION} does not name {name}")).collect()
}

/// Runs `ringfleet config check` with what the pod would have in its environment; what is mounted lies below `dir`.
fn takes_settings(pod: &pods::Pod, dir: &Path, binary: &Path, key: &str) -> Result<()> {
    fs::create_dir_all(dir)?;
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pod.settings() {
        let value = match value {
            // What a Secret holds nobody knows here; of all that is taken from one into the environment this is the only one.
            None => {
                ensure!(name == "RINGFLEET__STORE__URL", "{name} is not known here");
                // A Redis that is not there would be waited for, and no other setting hangs on it.
                "sqlite:fleet.db".to_owned()
            }
            Some(value) if name.ends_with("_FILE") => {
                let path = dir.join(value.trim_start_matches('/'));
                fs::create_dir_all(path.parent().context("it is below another folder")?)?;
                let content = if name.ends_with("KEY_FILE") { key } else { "a-secret-of-a-test-that-is-long-enough\n" };
                fs::write(&path, content)?;
                path.display().to_string()
            }
            Some(value) => value.to_owned(),
        };
        settings.insert(name.to_owned(), value);
    }
    let mut check = child::command(binary);
    child::output(check.args(["config", "check"]).current_dir(dir).env_clear().envs(settings))?;
    println!("{DIR}: ringfleet takes the settings of {}", pod.name());
    Ok(())
}

#[cfg(test)]
mod tests;
