//! A PostgreSQL server for the tests: the one that `SAFEGUARD_TEST_POSTGRES` names, or one of its own in a
//! temporary folder that goes when this process does, however it goes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Makes a cluster, says where, and ends it when its standard input closes. `$1` is the folder of programs.
const SCRIPT: &str = r#"
set -e
umask 022
dir=$(mktemp -d /tmp/safeguard-test-postgres.XXXXXX)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
"$1/initdb" -D "$dir/data" -U safeguard -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1
"$1/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=300 \
    -c fsync=off >>"$dir/log" 2>&1 </dev/null &
server=$!
trap 'kill -INT $server 2>/dev/null || :; wait $server || :; rm -rf "$dir"' EXIT
ready=
for _ in $(seq 600); do
    if "$1/pg_isready" -q -h "$dir" -U safeguard; then ready=1; break; fi
    kill -0 $server 2>/dev/null || break
    sleep 0.1
done
[ -n "$ready" ] || { tail "$dir/log" >&2; exit 1; }
echo "$dir"
cat >/dev/null
"#;

const NO_PROGRAMS: &str = "no initdb in /usr/lib/postgresql; install Debian's `postgresql`";

/// The URL of a server up to the database's name, and what follows it.
pub(crate) struct Server {
    before: String,
    after: String,
    /// Its standard input holds the server.
    _script: Option<Child>,
}

impl Server {
    pub(crate) fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.before, self.after)
    }

    /// `None` if there is none, which is said once.
    ///
    /// # Panics
    /// If it is required and not there, or there and does not start.
    pub(crate) fn find() -> Option<&'static Server> {
        static SERVER: OnceLock<Result<Option<Server>, String>> = OnceLock::new();
        let found = SERVER.get_or_init(|| {
            let named = std::env::var("SAFEGUARD_TEST_POSTGRES").unwrap_or_default();
            let server = match named.as_str() {
                "" | "required" => match programs() {
                    Some(programs) => Server::start(&programs)?,
                    None if named == "required" => return Err(NO_PROGRAMS.to_owned()),
                    None => {
                        eprintln!("SKIPPED on PostgreSQL: {NO_PROGRAMS}");
                        return Ok(None);
                    }
                },
                url => {
                    let (before, _) = url.rsplit_once('/').unwrap();
                    Server { before: format!("{before}/"), after: String::new(), _script: None }
                }
            };
            Ok(Some(server))
        });
        found.as_ref().unwrap_or_else(|why| panic!("no PostgreSQL: {why}")).as_ref()
    }

    fn start(programs: &Path) -> Result<Server, String> {
        let mut command = if is_root() {
            // initdb refuses to run as root.
            let mut command = Command::new("runuser");
            command.args(["-u", "nobody", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", SCRIPT, "sh"]).arg(programs).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().map_err(|error| error.to_string())?;
        let mut folder = String::new();
        let out = script.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut folder).map_err(|error| error.to_string())?;
        let folder = folder.trim();
        if folder.is_empty() {
            let status = script.wait().map_err(|error| error.to_string())?;
            let why = "did not answer within a minute; its own words are on standard error";
            return Err(format!("the server of {} {why} ({status})", programs.display()));
        }
        let after = format!("?host={}&user=safeguard", folder.replace('/', "%2F"));
        Ok(Server { before: "postgres:///".to_owned(), after, _script: Some(script) })
    }
}

fn programs() -> Option<std::path::PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let bins = versions.flatten().map(|version| version.path().join("bin"));
    bins.filter(|bin| bin.join("initdb").exists()).max()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|process| process.uid() == 0)
}
