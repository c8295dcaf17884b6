//! A caller who is gone: the server hears of it.

use std::sync::atomic::{AtomicBool, Ordering};

use policy::{Cause, Content, Judge, JudgeSettings, Observer, Outcome};
use reasoner::remote::RemoteJudge;

use crate::server::{ChatServer, Hung, Reply};
use crate::{policy, settings};

/// Waits until it is told not to.
struct Waiting<'a>(&'a AtomicBool);

impl Observer for Waiting<'_> {
    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_request_that_nobody_waits_for_is_closed() {
    let models = serde_json::json!({ "data": [{ "id": "gpt-oss-safeguard-20b" }] });
    let models = Reply { body: models, ..Reply::default() };
    let server = ChatServer::start(models, vec![Reply { hangs: true, ..Reply::default() }]);
    let judge = RemoteJudge::connect(&server.url, &settings()).unwrap();
    let is_gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let verdict = scope.spawn(|| {
            let content = Content::text("Ranked account for sale");
            let settings = JudgeSettings::default();
            judge.judge(&policy(), &content, &settings, &mut Waiting(&is_gone))
        });
        assert_eq!(server.next_hung(), Hung::Begun);
        is_gone.store(true, Ordering::Relaxed);
        assert_eq!(server.next_hung(), Hung::Closed);
        let verdict = verdict.join().unwrap();
        assert_eq!(verdict.outcome, Outcome::Undetermined(Cause::Cancelled));
    });
}
