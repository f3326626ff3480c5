//! What each pod must get right; deploy/README.md says why.

use std::collections::BTreeMap;

use serde_json::Value;

/// A pod's template with what it takes from elsewhere.
pub(super) struct Pod<'a> {
    object: &'a Value,
    shared: BTreeMap<&'a str, &'a str>,
}

/// Of all objects that make pods; with the ConfigMaps that they take their environment from.
pub(super) fn all(objects: &[Value]) -> Vec<Pod<'_>> {
    let with_pods = objects.iter().filter(|object| object["spec"]["template"]["spec"]["containers"].is_array());
    let pods = with_pods.map(|object| {
        let sources = object["spec"]["template"]["spec"]["containers"][0]["envFrom"].as_array().into_iter().flatten();
        let maps = sources.filter_map(|source| {
            let named = &source["configMapRef"]["name"];
            objects.iter().find(|other| other["kind"] == "ConfigMap" && other["metadata"]["name"] == *named)
        });
        let entries = maps.filter_map(|map| map["data"].as_object()).flatten();
        let shared = entries.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect();
        Pod { object, shared }
    });
    pods.collect()
}

impl Pod<'_> {
    pub(super) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// What the program is told to be.
    pub(super) fn role(&self) -> &str {
        self.container()["args"][0].as_str().unwrap_or_default()
    }

    /// Name and value of each setting; `None` is a Secret's.
    pub(super) fn settings(&self) -> BTreeMap<&str, Option<&str>> {
        let mut settings: BTreeMap<_, _> = self.shared.iter().map(|(name, value)| (*name, Some(*value))).collect();
        for variable in self.container()["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default();
            let is_secret = variable["valueFrom"]["secretKeyRef"].is_object();
            // The pod's own field stands for itself.
            settings.insert(name, if is_secret { None } else { variable["value"].as_str().or(Some("a-name")) });
        }
        settings
    }

    pub(super) fn has_labels(&self, wanted: &Value) -> bool {
        let labels = &self.object["spec"]["template"]["metadata"]["labels"];
        wanted.as_object().is_none_or(|wanted| wanted.iter().all(|(name, value)| labels[name] == *value))
    }

    /// The number of a port that is named.
    pub(super) fn port(&self, name: &Value) -> Option<u64> {
        let mut ports = self.container()["ports"].as_array().into_iter().flatten();
        ports.find(|port| port["name"] == *name)?["containerPort"].as_u64()
    }

    fn spec(&self) -> &Value {
        &self.object["spec"]["template"]["spec"]
    }

    fn container(&self) -> &Value {
        &self.spec()["containers"][0]
    }

    fn setting(&self, name: &str) -> &str {
        self.settings().get(name).copied().flatten().unwrap_or_default()
    }

    /// The volume that a path lies on.
    fn volume_of(&self, path: &str) -> Option<&str> {
        let mounts = self.container()["volumeMounts"].as_array().into_iter().flatten();
        let below = |mount: &&Value| mount["mountPath"].as_str().is_some_and(|at| path.starts_with(&format!("{at}/")));
        mounts.filter(below).find_map(|mount| mount["name"].as_str())
    }

    fn is_claimed(&self, volume: &str) -> bool {
        let claims = self.object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        claims.into_iter().any(|claim| claim["metadata"]["name"] == volume)
    }

    fn is_secret(&self, volume: &str) -> bool {
        let mut volumes = self.spec()["volumes"].as_array().into_iter().flatten();
        volumes.any(|one| one["name"] == volume && one["secret"].is_object())
    }
}

pub(super) fn faults(pod: &Pod) -> Vec<String> {
    let (spec, container) = (pod.spec(), pod.container());
    let security = &container["securityContext"];
    let probed = |probe: &str, path: &str| {
        let asked = &container[probe]["httpGet"];
        let listens = pod.setting("RINGFLEET__METRICS__LISTEN");
        asked["path"] == path && pod.port(&asked["port"]).is_some_and(|port| listens == format!("0.0.0.0:{port}"))
    };
    let sleeps = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or_default();
    let drain = pod.setting("RINGFLEET__WORKER__DRAIN").trim_end_matches('s').parse::<u64>();
    let grace = spec["terminationGracePeriodSeconds"].as_u64().unwrap_or_default();
    let selector = &pod.object["spec"]["selector"]["matchLabels"];
    let mut checks = vec![
        // SEND-SAFETY: killed before it has settled, a worker leaves sends behind whose fate is unknown.
        (
            drain.is_ok_and(|drain| grace > drain + sleeps),
            "its grace period is no longer than worker.drain and preStop",
        ),
        (probed("livenessProbe", "/healthz"), "liveness is not /healthz where metrics.listen is"),
        (probed("readinessProbe", "/readyz"), "readiness is not /readyz where metrics.listen is"),
        (selector.is_object() && pod.has_labels(selector), "its selector is not its pods'"),
        (spec["securityContext"]["runAsNonRoot"] == true, "it may run as root"),
        (spec["securityContext"]["runAsUser"] == 10001, "it does not run as the image's user"),
        (spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "it has no seccomp profile"),
        (spec["automountServiceAccountToken"] == false, "it is given a token of the cluster that it does not need"),
        (security["readOnlyRootFilesystem"] == true, "its root can be written"),
        (security["allowPrivilegeEscalation"] == false, "it may gain privileges"),
        (security["capabilities"]["drop"] == serde_json::json!(["ALL"]), "it keeps capabilities"),
        (container["resources"]["limits"]["memory"].is_string(), "its memory has no limit"),
        (container["resources"]["requests"]["cpu"].is_string(), "it asks for no share of the processor"),
        (
            pod.settings().get("RINGFLEET__STORE__URL") == Some(&None),
            "store.url holds a password: it comes from a Secret",
        ),
    ];
    if pod.role() == "worker" {
        let journal = pod.volume_of(pod.setting("RINGFLEET__WORKER__JOURNAL_DIR"));
        let kept = &pod.object["spec"]["persistentVolumeClaimRetentionPolicy"];
        // SEND-SAFETY: without its journal a worker can't tell a Redis that comes back without its last moments what was sent.
        checks.push((journal.is_some_and(|volume| pod.is_claimed(volume)), "its journal does not outlive the pod"));
        let claims = pod.object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        let named = claims.into_iter().all(|claim| claim["metadata"]["labels"] == *selector);
        checks.push((named, "its claims are not found by its labels"));
        // SEND-SAFETY: an apply would set the number that an operator, or an autoscaler, has set.
        checks.push((pod.object["spec"]["replicas"].is_null(), "it says how many workers there are"));
        checks.push((kept["whenScaled"] == "Retain" && kept["whenDeleted"] == "Retain", "its claims are not kept"));
        checks.push((
            pod.object["spec"]["podManagementPolicy"] == "Parallel",
            "workers come back one by one after an outage",
        ));
    } else {
        checks.push((sleeps > 0, "callers are not given the time to learn that it ends"));
    }
    for (name, value) in pod.settings() {
        let in_secret = |path: &str| pod.volume_of(path).is_some_and(|volume| pod.is_secret(volume));
        if name.ends_with("_FILE") && !value.is_some_and(in_secret) {
            checks.push((false, "a file of its settings lies in no Secret"));
        }
    }
    checks.iter().filter(|(right, _)| !right).map(|(_, fault)| format!("{}: {fault}", pod.name())).collect()
}
