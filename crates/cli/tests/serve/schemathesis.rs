//! Requests that nobody would think of, made from `/openapi.json` by Schemathesis: no answer is a failure of the
//! service, and every answer is one that the description promises.

use std::path::Path;
use std::process::Command;

use crate::Service;
use crate::clients::python_with;

/// Requests a route, over all phases that draw at random.
const MAX_EXAMPLES: &str = "10";

#[test]
fn no_request_breaks_what_the_description_promises() {
    let Some(python) = python_with("schemathesis") else { return };
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]);
    let program = Path::new(&python).with_file_name("schemathesis");
    let mut command = Command::new(program);
    command.current_dir(folder.path()).args(["run", "--phases", "examples,coverage,fuzzing"]);
    // One worker: CPython 3.11 counts the depth of parsing for all threads together, and loses count.
    command.args(["--max-examples", MAX_EXAMPLES, "--seed", "1", "--workers", "1"]);
    command.args(["--checks", CHECKS, "--no-shrink", "--no-color"]);
    command.args(["--request-timeout", "60", "--suppress-health-check", "all"]);
    let output = command.arg(format!("{}/openapi.json", service.url)).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{wrong}");
    let (ended_well, log) = service.stop();
    assert!(ended_well && !log.contains("panicked"), "{log}");
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method";
