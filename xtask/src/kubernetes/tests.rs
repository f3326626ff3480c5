use serde_json::json;

use super::*;

const DOCUMENT_TEXT: &str = "\n## How many workers\n\n```promql\na\n  * b\n```\n";

/// A worker with what belongs to it, without a fault.
fn good() -> Vec<Value> {
    let labels = json!({"of": "worker"});
    vec![
        json!({"kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {
            "RINGFLEET__METRICS__LISTEN": "0.0.0.0:9480", "RINGFLEET__WORKER__DRAIN": "20s", "RINGFLEET__A__KEY_FILE": "/run/key/a"}}),
        json!({"kind": "StatefulSet", "metadata": {"name": "w"}, "spec": {
            "selector": {"matchLabels": labels}, "podManagementPolicy": "Parallel",
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain", "whenDeleted": "Retain"},
            "volumeClaimTemplates": [{"metadata": {"name": "state", "labels": labels}}], "replicas": null,
            "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 30, "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
                "volumes": [{"name": "key", "secret": {}}],
                "containers": [{
                    "args": ["worker"], "envFrom": [{"configMapRef": {"name": "shared"}}],
                    "env": [{"name": "RINGFLEET__STORE__URL", "valueFrom": {"secretKeyRef": {}}},
                        {"name": "RINGFLEET__WORKER__JOURNAL_DIR", "value": "/var/j/journal"}],
                    "ports": [{"name": "metrics", "containerPort": 9480}],
                    "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}},
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "metrics"}},
                    "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1"}},
                    "securityContext": {"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "state", "mountPath": "/var/j"}, {"name": "key", "mountPath": "/run/key"}]}]}}}}),
        json!({"kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": labels, "ports": [{"port": 9480, "targetPort": "metrics"}]}}),
        json!({"kind": "PodDisruptionBudget", "metadata": {"name": "p"}, "spec": {"selector": {"matchLabels": labels}}}),
        json!({"kind": "NetworkPolicy", "metadata": {"name": "n"}, "spec": {"podSelector": {"matchLabels": labels}}}),
        json!({"kind": "ScaledObject", "metadata": {"name": "k"}, "spec": {
            "scaleTargetRef": {"kind": "StatefulSet", "name": "w"}, "minReplicaCount": 2, "maxReplicaCount": 9,
            "triggers": [{"metadata": {"threshold": "1", "ignoreNullValues": "false", "query": "a * b"}}]}}),
    ]
}

#[test]
fn each_fault_is_found() {
    assert_eq!(faults(&good(), DOCUMENT_TEXT).unwrap(), Vec::<String>::new());
    let pod = "/spec/template/spec";
    let container = "/spec/template/spec/containers/0";
    let trigger = "/spec/triggers/0/metadata";
    let breaks: [(usize, String, Value, &str); 32] = [
        (0, "/data/RINGFLEET__WORKER__DRAIN".to_owned(), json!("30s"), "grace period"),
        (0, "/data/RINGFLEET__METRICS__LISTEN".to_owned(), json!("0.0.0.0:9481"), "liveness"),
        (0, "/data/RINGFLEET__A__KEY_FILE".to_owned(), json!("/etc/a"), "in no Secret"),
        (1, format!("{pod}/terminationGracePeriodSeconds"), json!(20), "grace period"),
        (1, format!("{container}/livenessProbe/httpGet/path"), json!("/readyz"), "liveness"),
        (1, format!("{container}/readinessProbe/httpGet/port"), json!("http"), "readiness"),
        (1, "/spec/selector/matchLabels/of".to_owned(), json!("api"), "selector"),
        (1, format!("{pod}/securityContext/runAsNonRoot"), json!(false), "as root"),
        (1, format!("{pod}/securityContext/runAsUser"), json!(1), "image's user"),
        (1, format!("{pod}/securityContext/seccompProfile"), Value::Null, "seccomp"),
        (1, format!("{pod}/automountServiceAccountToken"), Value::Null, "token"),
        (1, format!("{container}/securityContext/readOnlyRootFilesystem"), json!(false), "written"),
        (1, format!("{container}/securityContext/allowPrivilegeEscalation"), Value::Null, "privileges"),
        (1, format!("{container}/securityContext/capabilities/drop"), json!([]), "capabilities"),
        (1, format!("{container}/resources/limits"), Value::Null, "memory"),
        (1, format!("{container}/resources/requests"), Value::Null, "processor"),
        (1, format!("{container}/env/0"), json!({"name": "RINGFLEET__STORE__URL", "value": "redis://"}), "a Secret"),
        (1, format!("{container}/env/1/value"), json!("/tmp/journal"), "outlive"),
        (1, "/spec/volumeClaimTemplates".to_owned(), json!([]), "outlive"),
        (1, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled".to_owned(), json!("Delete"), "kept"),
        (1, "/spec/volumeClaimTemplates/0/metadata/labels".to_owned(), Value::Null, "by its labels"),
        (1, "/spec/replicas".to_owned(), json!(2), "how many workers"),
        (1, "/spec/podManagementPolicy".to_owned(), json!("OrderedReady"), "one by one"),
        (1, format!("{container}/args/0"), json!("api"), "callers"),
        (2, "/spec/ports/0/port".to_owned(), json!(80), "no port"),
        (2, "/spec/selector/of".to_owned(), json!("api"), "selects none"),
        (3, "/spec/selector/matchLabels/of".to_owned(), json!("api"), "selects none"),
        (4, "/spec/podSelector/matchLabels/of".to_owned(), json!("api"), "selects none"),
        (5, format!("{trigger}/query"), json!("a"), "is not the expression"),
        (5, format!("{trigger}/threshold"), json!("2"), "threshold"),
        (5, format!("{trigger}/ignoreNullValues"), json!("true"), "ignoreNullValues"),
        (5, "/spec/scaleTargetRef/kind".to_owned(), json!("Deployment"), "no workers"),
    ];
    for (object, place, value, fault) in breaks {
        let mut objects = good();
        *objects[object].pointer_mut(&place).unwrap() = value;
        let found = faults(&objects, DOCUMENT_TEXT).unwrap();
        assert!(found.iter().any(|one| one.contains(fault)), "{place}: {found:?}");
    }
}

#[test]
fn a_manifest_that_the_kustomization_does_not_name_is_found() {
    let files = ["a.yaml", "b.yaml", "c.yaml", KUSTOMIZATION].map(PathBuf::from);
    assert_eq!(left_out(&files, "resources:\n  - a.yaml\n  # - c.yaml\n"), ["kustomization.yaml does not name b.yaml"]);
}
