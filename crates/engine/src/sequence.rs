//! One request on its way: its tokens, its guide, its blocks, and its end.
//!
//! A sequence knows nothing of its neighbours. The scheduler decides how many of its tokens a step
//! computes; what a row of logits leads to is decided here.

use std::sync::mpsc::Sender;

use model::forward::{LogitRows, Segment};

use crate::error::EngineError;
use crate::generation::{Canceller, Clock, Done, Event, Finish, TokenEvent, Usage};
use crate::guess::Guesser;
use crate::guide::{Guide, Next};
use crate::kv::{KvCache, View};
use crate::panics::guarded;
use crate::request::{Request, Sampling};
use crate::said::{PrefixHash, Said};
use crate::sampler::Sampler;
use crate::settings::Limits;
use crate::step::{Row, Rows};

pub(crate) struct Sequence {
    /// Order of submission: who came first goes first.
    pub(crate) number: u64,
    /// Prompt and reply so far; the first `view.table.len` are computed.
    pub(crate) tokens: Vec<u32>,
    pub(crate) view: View,
    /// Tokens to be computed in the step being planned.
    pub(crate) n_step: usize,
    /// What the planned step computes where it guesses: the `n_step` tokens, then the guess. Empty where it does not.
    pub(crate) draft: Vec<u32>,
    /// Forward passes so far.
    pub(crate) n_steps_done: usize,
    /// Whether its memory was taken for an older one in the step being planned.
    pub(crate) is_preempted: bool,
    /// Whether that ever happened: what it finds in the cache from then on, it computed itself.
    pub(crate) was_preempted: bool,
    /// Set when nothing more will come.
    pub(crate) finish: Option<Finish>,
    pub(crate) clock: Clock,
    pub(crate) n_cached: usize,
    /// Tokens of the prefix that is still to be kept for others; 0 when that is done with.
    pub(crate) n_prefix: usize,
    n_prompt: usize,
    max_tokens: usize,
    sampling: Sampling,
    stop: Vec<u32>,
    guide: Option<Box<dyn Guide>>,
    /// Whether the state behind the prompt is still to be reported.
    owes_state: bool,
    /// What may follow `tokens`.
    next: Next,
    /// The same as a list where it is so short that only these logits are computed.
    few: Option<Vec<u32>>,
    guesser: Guesser,
    /// What replies it has phrases in common with.
    prefix: Option<PrefixHash>,
    /// Tokens of the reply that had been guessed.
    n_guessed: usize,
    canceller: Canceller,
    events: Sender<Event>,
}

impl Sequence {
    pub(crate) fn new(
        number: u64,
        request: Request,
        canceller: Canceller,
        events: Sender<Event>,
    ) -> Sequence {
        Sequence {
            number,
            n_prompt: request.prompt.len(),
            n_prefix: request.n_prefix.min(request.prompt.len()),
            prefix: PrefixHash::of(&request.prompt[..request.n_prefix.min(request.prompt.len())]),
            tokens: request.prompt,
            view: View::new(),
            n_step: 0,
            draft: Vec::new(),
            n_steps_done: 0,
            is_preempted: false,
            was_preempted: false,
            finish: None,
            clock: Clock::start(),
            n_cached: 0,
            max_tokens: request.max_tokens,
            sampling: request.sampling,
            stop: request.stop,
            guide: request.guide,
            owes_state: request.report_state,
            next: Next::Free,
            few: None,
            guesser: Guesser::default(),
            n_guessed: 0,
            canceller,
            events,
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.canceller.is_cancelled()
    }

    /// Tokens not yet computed; at least one while the sequence runs.
    pub(crate) fn n_pending(&self) -> usize {
        self.tokens.len() - self.view.table.len
    }

    /// The part of the planned step that is this sequence's.
    pub(crate) fn segment(&mut self) -> Segment<'_> {
        let start = self.view.table.len;
        let logits = match &self.few {
            _ if self.n_step < self.n_pending() => LogitRows::None,
            Some(few) => LogitRows::LastOf(few),
            None => LogitRows::Last(1 + self.draft.len().saturating_sub(self.n_step)),
        };
        let tokens = match self.draft.as_slice() {
            [] => &self.tokens[start..start + self.n_step],
            draft => draft,
        };
        Segment { tokens, kv: &mut self.view.table, logits }
    }

    /// Whether the planned step, as it stands, may compute a guess too: it leads to a choice among many tokens.
    pub(crate) fn may_guess(&self) -> bool {
        self.n_step > 0 && self.n_step == self.n_pending() && self.few.is_none()
    }

    /// Adds up to `n_max` guessed tokens to the planned step, as far as blocks for them are free; returns how many.
    /// The last token that a reply may have is never guessed, since nothing is computed of it.
    pub(crate) fn guess(
        &mut self,
        n_max: usize,
        cache: &mut KvCache,
        said: &Said,
        limits: &Limits,
    ) -> usize {
        let end = limits.context_len.min(self.n_prompt.saturating_add(self.max_tokens));
        let n_max = n_max.min(end.saturating_sub(self.tokens.len() + 1));
        let guess = self.guesser.guess(&self.tokens, said.behind(self.prefix), n_max);
        let n_room = self.view.reserve(cache, self.n_step + guess.len()) - self.n_step;
        let guess = &guess[..guess.len().min(n_room)];
        if !guess.is_empty() {
            self.draft.extend_from_slice(&self.tokens[self.view.table.len..]);
            self.draft.extend_from_slice(guess);
        }
        guess.len()
    }

    /// Continues the reply by what follows its last token, and goes on while what comes was guessed. Of the guess,
    /// the view keeps what came true. Returns how many tokens were guessed, and how many of them came.
    pub(crate) fn continue_by(
        &mut self,
        rows: &Rows<'_>,
        sampler: &mut Sampler,
        limits: &Limits,
    ) -> (usize, usize) {
        let start = self.tokens.len();
        let draft = std::mem::take(&mut self.draft);
        let guess = draft.get(self.n_step..).unwrap_or_default();
        let mut n_true = 0;
        // Known before the step, so of the first row alone; guesses have rows of all tokens.
        let mut few = self.few.take();
        loop {
            self.choose_by(rows.row(n_true), few.take(), sampler, limits);
            let came = &self.tokens[start..];
            n_true = came.iter().zip(guess).take_while(|(token, guessed)| token == guessed).count();
            if self.finish.is_some() || n_true < came.len() {
                break;
            }
        }
        self.view.table.len = start + n_true;
        self.n_guessed += n_true;
        let n_guessed = guess.len();
        self.guesser.learn(n_guessed, n_true);
        self.draft = draft;
        (n_guessed, n_true)
    }

    /// Continues the reply by what follows its last token. `row` has the logits of `few`, or of all tokens.
    fn choose_by(
        &mut self,
        row: Row<'_>,
        few: Option<Vec<u32>>,
        sampler: &mut Sampler,
        limits: &Limits,
    ) {
        if std::mem::take(&mut self.owes_state) {
            // As for any other event, a caller that has gone does not want to know.
            let _ = self.events.send(Event::State(row.state.to_vec()));
        }
        let position = self.tokens.len();
        let choice = match few {
            Some(few) => sampler.choose_of_few(&few, row.logits, &self.sampling, position),
            None => sampler.choose(row.logits, &self.next, &self.sampling, position),
        };
        match choice {
            Ok(choice) => {
                self.clock.chose();
                self.append(TokenEvent {
                    token: choice.token,
                    logprob: choice.logprob,
                    forced: false,
                    choices: choice.choices,
                });
                self.steer(limits);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Asks the guide what comes next, and appends what it forces, until there is a choice to make
    /// or nothing more to come.
    pub(crate) fn steer(&mut self, limits: &Limits) {
        while self.finish.is_none() {
            match self.ask() {
                Next::Stop => self.finish = Some(Finish::GuideStop),
                Next::Fail(error) => self.fail(error),
                Next::Force(tokens) => self.append_forced(&tokens, limits),
                choice => {
                    self.finish = self.at_limit(limits);
                    self.few = few(&choice, limits.vocab_size);
                    self.next = choice;
                    return;
                }
            }
        }
    }

    pub(crate) fn fail(&mut self, error: EngineError) {
        self.finish = Some(Finish::Failed(error));
    }

    /// Leaves the reply so far for those behind the same prefix to guess by.
    pub(crate) fn leave_to(&self, said: &mut Said) {
        said.add(self.prefix, &self.tokens[self.n_prompt..]);
    }

    /// Reports the end.
    pub(crate) fn end(self, finish: Finish) {
        let mut usage = Usage {
            prompt_tokens: self.n_prompt,
            cached_tokens: self.n_cached.min(self.n_prompt),
            generated: self.tokens.len() - self.n_prompt,
            guessed: self.n_guessed,
            steps: self.n_steps_done,
            ..Usage::default()
        };
        self.clock.write_to(&mut usage);
        // A caller that has gone does not want to know.
        let _ = self.events.send(Event::Done(Done { finish, usage }));
    }

    fn ask(&mut self) -> Next {
        match &mut self.guide {
            None => Next::Free,
            Some(guide) => guarded(|| guide.next()).unwrap_or_else(Next::Fail),
        }
    }

    fn append_forced(&mut self, tokens: &[u32], limits: &Limits) {
        if tokens.is_empty() {
            self.fail(EngineError::GuideDeadEnd { position: self.tokens.len() });
        }
        for &token in tokens {
            if token as usize >= limits.vocab_size {
                self.fail(EngineError::UnknownToken { token, vocab_size: limits.vocab_size });
            } else {
                self.finish = self.at_limit(limits);
            }
            if self.finish.is_some() {
                return;
            }
            self.append(TokenEvent { token, logprob: 0.0, forced: true, choices: Vec::new() });
            if self.finish.is_some() {
                return;
            }
        }
    }

    fn append(&mut self, event: TokenEvent) {
        let token = event.token;
        self.tokens.push(token);
        // A caller that has gone cancels; the next step sees it.
        let _ = self.events.send(Event::Token(event));
        if let Some(guide) = &mut self.guide
            && let Err(error) = guarded(|| guide.accept(token))
        {
            self.fail(error);
        } else if self.stop.contains(&token) {
            self.finish = Some(Finish::Stop(token));
        }
    }

    /// The end, if there is no room for another token.
    fn at_limit(&self, limits: &Limits) -> Option<Finish> {
        if self.tokens.len() - self.n_prompt >= self.max_tokens {
            return Some(Finish::MaxTokens);
        }
        let context_len = limits.context_len;
        (self.tokens.len() >= context_len)
            .then_some(Finish::Failed(EngineError::ContextFull { context_len }))
    }
}

/// At most this part of the vocabulary is few: even tokens far from each other then lie in a quarter of the head, which
/// is read in tiles.
const FEW: usize = 4 * kernels::TILE;

/// The tokens that may come next, lowest id first, if they are few.
fn few(next: &Next, vocab_size: usize) -> Option<Vec<u32>> {
    match next {
        Next::Allow(mask) if mask.len() <= vocab_size / FEW => {
            Some(mask.iter().take_while(|&token| (token as usize) < vocab_size).collect())
        }
        _ => None,
    }
}
