//! What a kubelet puts into the file system of a pod: the token of its account, Secrets and `ConfigMaps`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::Value;
use testbed::{Bed, isolation::STATE};

use crate::installed::{self, container};

/// Where every pod finds its token. All of `/run` is the bed's own.
pub(crate) const ACCOUNT_FOLDER: &str = "/run/secrets/kubernetes.io/serviceaccount";

/// Puts a new token of the account, and the authority of the API server, where programs in a pod look for them.
pub(crate) fn give_token(bed: &Bed, namespace: &str, account: &str) {
    bed.write_account(namespace, account, Path::new(ACCOUNT_FOLDER)).unwrap_or_else(|error| panic!("{error:#}"));
}

/// A new token of the account.
pub(crate) fn token(bed: &Bed, namespace: &str, account: &str) -> String {
    bed.kubectl().words(&format!("create token {account} -n {namespace} --duration=24h")).trim().to_owned()
}

/// Mounts what the doctor's container in a pod's `spec` asks for, or brings it up to date: everything goes into a new folder, and a
/// symbolic link is put in the place of the old one.
pub(crate) fn mount(bed: &Bed, namespace: &str, spec: &Value) {
    for mount in container(spec)["volumeMounts"].as_array().into_iter().flatten() {
        let folder = PathBuf::from(mount["mountPath"].as_str().expect("a path"));
        assert!(folder.starts_with("/run"), "{} would be made on this machine", folder.display());
        assert_eq!(mount["readOnly"], true, "{mount}");
        let volumes = spec["volumes"].as_array().expect("volumes");
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).expect("the volume");
        let (kind, source, name) = match (&volume["secret"], &volume["configMap"]) {
            (Value::Null, source) => ("configmap", source, "name"),
            (source, _) => ("secret", source, "secretName"),
        };
        let name = source[name].as_str().expect("a name");
        let object = installed::get(bed, &format!("{kind} {name} -n {namespace}"));
        let version = object["metadata"]["resourceVersion"].as_str().expect("a version");
        let data = folder.join(format!("..{version}"));
        fs::create_dir_all(&data).expect("a folder");
        for item in source["items"].as_array().expect("items") {
            let (key, path) = (item["key"].as_str().expect("a key"), item["path"].as_str().expect("a path"));
            let text = object["data"][key].as_str().unwrap_or_else(|| panic!("{kind} {name} has no {key}"));
            fs::write(data.join(path), if kind == "secret" { decoded(text) } else { text.into() }).expect("a file");
            let link = folder.join(path);
            if !link.is_symlink() {
                symlink(Path::new("..data").join(path), link).expect("a link");
            }
        }
        let next = folder.join("..data_tmp");
        symlink(format!("..{version}"), &next).expect("a link");
        fs::rename(next, folder.join("..data")).expect("the link is replaced");
    }
}

pub(crate) fn decoded(text: &str) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(text).expect("base64")
}

/// A file of the bed with this text.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(STATE).join(name);
    fs::write(&path, text).expect("a file");
    path
}
