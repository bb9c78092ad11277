//! What the driver does: tells the core, carries out what it says, and tells it what failed. And what goes on by itself: the
//! broker processes, delivers and says; connections are made.

use amqp_tools::broker::Confirmation;
use amqp_tools::transfer::run::{Action, Ended, Event, FromBroker, TargetIs, Trouble};

use super::broker::{Channel, Sent};
use super::scenario::Last;
use super::{CLOSE_LIMIT, NOTICED_WITHIN, Simulation, Step};
use crate::world::Failure;

impl Simulation<'_> {
    /// What can happen now, the most harmless first.
    pub(super) fn possible(&self) -> Vec<Step> {
        let mut possible = Vec::new();
        let is_silent = self.is_calm && self.scenario.last == Last::Silent;
        let mut add = |step, is_possible: bool| {
            if is_possible {
                possible.push(step);
            }
        };
        let is_closing = self.closing_since.is_some();
        if let Some(channel) = &self.broker.channel
            && !is_silent
        {
            let is_heard = !channel.is_deaf;
            add(
                Step::TellAnswer,
                is_heard && channel.has_said_something() && !is_closing,
            );
            add(
                Step::TellDelivery,
                is_heard && !channel.incoming.is_empty() && !is_closing,
            );
            add(Step::Say, is_heard && channel.has_more_to_say());
            add(Step::Process, self.broker.has_more_to_process());
            add(Step::Lead, self.broker.has_commands());
            add(Step::Deliver, self.broker.can_deliver());
            add(Step::Close, channel.is_closed && is_closing && is_heard);
        }
        add(Step::Connect, self.is_connecting);
        add(Step::Answer, self.question_is_open);
        add(
            Step::Notice,
            self.broker.has_held() && self.noticed_at.is_some(),
        );
        add(
            Step::Quiet,
            self.broker.channel.is_some() && !is_closing && !self.is_quiet,
        );
        possible
    }

    pub(super) fn take(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::TellAnswer => self.tell_answer(),
            Step::TellDelivery => {
                let event = self
                    .broker
                    .channel
                    .as_mut()
                    .and_then(|channel| channel.incoming.pop_front());
                event.map_or(Ok(()), |event| self.tell_broker(event))
            }
            Step::Say => {
                let (choices, reached) = (&mut *self.choices, &mut *self.reached);
                if let Some(channel) = &mut self.broker.channel {
                    channel.say_next(choices, reached);
                }
                Ok(())
            }
            Step::Process => self.process_next(),
            Step::Lead => {
                self.broker.lead();
                Ok(())
            }
            Step::Deliver => {
                self.broker.deliver_next();
                Ok(())
            }
            Step::Close => {
                self.reached.mark("a close is answered");
                self.closing_since = None;
                self.oracle.is_closed_in_order = true;
                self.broker.end_connection(true, self.reached);
                self.tell_broker(FromBroker::Closed)
            }
            Step::Connect => self.connect(),
            Step::Answer => self.answer(),
            Step::Notice => {
                self.notice();
                Ok(())
            }
            Step::Quiet => self.tell(Event::Quiet),
        }
    }

    pub(super) fn notice(&mut self) {
        self.noticed_at = None;
        self.broker.let_go();
        self.transcript
            .line(|| "the broker notices the end of the connection".to_owned());
    }

    pub(super) fn process_next(&mut self) -> Result<(), Failure> {
        let lies = self.lies();
        match self.broker.process_next(lies, self.reached) {
            Ok(()) => Ok(()),
            Err(reason) if reason.starts_with("unknown") => Err(Failure::of(
                "only what was delivered is answered for",
                reason,
            )),
            Err(reason) => {
                self.broker.end_connection(true, self.reached);
                self.closing_since = None;
                self.oracle.was_lost = true;
                self.tell_broker(FromBroker::Lost(Trouble {
                    reason,
                    may_pass: false,
                }))
            }
        }
    }

    /// Whether a count is 0 though messages are there: the leader of a quorum queue is busy. Where messages are withheld
    /// too, nobody could tell it from one that is empty.
    fn lies(&mut self) -> bool {
        let is_quorum = self.scenario.kind == super::scenario::QueueKind::Quorum;
        let is_believed = self.scenario.trouble.withheld > 0 || self.is_calm;
        let lies = is_quorum && !is_believed && self.broker.ready() > 0;
        let lies = lies && self.choices.chance(self.scenario.trouble.count_lies);
        if lies {
            self.reached.mark("a count lies");
        }
        lies
    }

    pub(super) fn tell_answer(&mut self) -> Result<(), Failure> {
        let choices = &mut *self.choices;
        let planned = &self.broker.planned;
        let told = self
            .broker
            .channel
            .as_mut()
            .and_then(|channel| channel.tell_next(planned, choices));
        let Some(event) = told else {
            return Ok(());
        };
        let refuses = matches!(
            event,
            FromBroker::Returned { .. } | FromBroker::Confirmed(Confirmation::Nacked(_))
        );
        self.oracle.is_refused |= refuses;
        if self.is_draining {
            self.reached.mark(match event {
                FromBroker::Returned { .. } => "a return comes with a break",
                _ if refuses => "a rejection comes with a break",
                _ => "a confirmation comes with a break",
            });
        }
        if refuses
            && let Some(channel) = &self.broker.channel
            && let Some(last) = channel.told_confirmed.last()
            && (1..*last).any(|tag| !channel.told_confirmed.contains(&tag))
        {
            self.reached.mark("refused out of the middle");
        }
        self.tell_broker(event)
    }

    fn connect(&mut self) -> Result<(), Failure> {
        self.is_connecting = false;
        let is_gone = self.is_calm && self.scenario.last != Last::Healed;
        if is_gone || self.choices.chance(self.scenario.trouble.cannot_connect) {
            self.oracle.was_lost = true;
            self.reached.mark("no connection");
            return self.tell_broker(FromBroker::CannotConnect("nobody is there".to_owned()));
        }
        if self.broker.source_is_gone || self.broker.target_is_gone {
            self.oracle.source_was_called_gone |= self.broker.source_is_gone;
            self.oracle.target_was_called_gone |= self.broker.target_is_gone;
            return self.tell_broker(FromBroker::Lost(Trouble {
                reason: "there is no such queue".to_owned(),
                may_pass: false,
            }));
        }
        self.broker.connect();
        self.oracle.connection_begins();
        let ready = if self.lies() { 0 } else { self.broker.ready() };
        self.tell_broker(FromBroker::Connected { ready })
    }

    fn answer(&mut self) -> Result<(), Failure> {
        self.question_is_open = false;
        let can_be_told = !(self.is_calm && self.scenario.last == Last::Gone);
        if !self.broker.target_is_gone || !can_be_told {
            return self.tell(Event::Target(TargetIs::NotKnownToBeGone));
        }
        self.oracle.target_was_called_gone = true;
        let had_ended = self.run.ended().is_some();
        self.tell(Event::Target(TargetIs::Gone(
            "the target is gone".to_owned(),
        )))?;
        if !had_ended && self.run.ended().is_some() {
            self.reached
                .mark("the target is gone, and that is found out");
        }
        Ok(())
    }

    pub(super) fn tell_broker(&mut self, event: FromBroker) -> Result<(), Failure> {
        match &event {
            FromBroker::Delivered(delivery) => {
                self.oracle.was_unfit |= delivery.unfit.is_some();
                if delivery.unfit.is_some() {
                    self.reached.mark("a message is unfit");
                }
            }
            FromBroker::Ended(_) => self.oracle.source_was_called_gone = true,
            _ => {}
        }
        self.tell(Event::Broker(self.connection, event))
    }

    /// Tells the core, carries out what it says, and judges that.
    pub(super) fn tell(&mut self, event: Event) -> Result<(), Failure> {
        self.events += 1;
        self.is_quiet = event == Event::Quiet;
        let mut actions = Vec::new();
        let in_line = self.transcript.is_kept().then(|| format!("{event:?}"));
        self.run.on(event, self.now, &mut actions);
        if let Some(line) = in_line {
            let now = self.now;
            self.transcript
                .line(|| format!("{now:?} {line} -> {actions:?}"));
        }
        for action in &actions {
            self.oracle
                .judge_action(action, self.broker.channel.as_ref())?;
            self.carry_out(action);
        }
        super::oracle::Oracle::judge_state(&self.run, &self.broker)
    }

    fn carry_out(&mut self, action: &Action) {
        let sent = match action {
            Action::Connect(connection, _) => {
                self.connection = *connection;
                self.is_connecting = true;
                return;
            }
            Action::Abandon => {
                self.abandon();
                return;
            }
            Action::AskForTarget => {
                self.reached.mark("the target is asked for");
                self.question_is_open = true;
                return;
            }
            Action::Say(_) => return,
            // The connection has ended already.
            _ if self.is_draining => return,
            Action::Subscribe(number, prefetch) => {
                self.note_subscription(*prefetch);
                Sent::Consume(*number, *prefetch)
            }
            Action::Cancel(number) => Sent::Cancel(*number),
            Action::Count => Sent::Count,
            Action::Publish(tag) => {
                let index = usize::try_from(*tag - 1).unwrap_or(usize::MAX);
                let delivered = self
                    .broker
                    .channel
                    .as_ref()
                    .map(|channel| &channel.delivered);
                match delivered.and_then(|delivered| delivered.get(index)) {
                    Some(number) => Sent::Publish(*number),
                    None => return,
                }
            }
            Action::Ack(tag) => {
                if self.oracle.is_refused {
                    self.reached.mark("refused and others are acknowledged");
                }
                Sent::Ack(*tag)
            }
            Action::Return(tag) => {
                self.reached.mark("some are given back");
                Sent::Return(*tag)
            }
            Action::Close => {
                self.closing_since = Some(self.now);
                Sent::Close
            }
        };
        if let Some(channel) = &mut self.broker.channel {
            channel.outgoing.push_back(sent);
        }
    }

    fn note_subscription(&mut self, prefetch: u16) {
        self.subscribed += 1;
        if self.subscribed > 1 {
            self.reached.mark("the subscription is replaced");
        }
        if prefetch < 5
            && self
                .scenario
                .messages
                .iter()
                .any(|planned| planned.length > 1)
        {
            self.reached
                .mark("a large message makes the prefetch small");
        }
    }

    fn abandon(&mut self) {
        if self
            .last_signal
            .is_some_and(|signal| self.now >= signal + CLOSE_LIMIT)
        {
            self.reached.mark("the grace ends");
        }
        self.oracle.was_lost = true;
        self.is_connecting = false;
        self.closing_since = None;
        self.broker.end_connection(false, self.reached);
        self.noticed_at = Some(self.now + NOTICED_WITHIN);
    }

    /// What the end shows of the way there.
    pub(super) fn look_back(&mut self, ended: &Ended) {
        let tally = self.run.tally();
        if tally.in_doubt > 0 {
            self.reached.mark("acknowledgements are in doubt");
        }
        if *ended != Ended::Complete {
            return;
        }
        if self.breaks > 0 {
            self.reached.mark("it goes on after a break and completes");
        }
        if !self.broker.taken_by_rival.is_empty() {
            self.reached.mark("rivals took some, and it completes");
        }
        if self.broker.planned.len() > self.scenario.messages.len() {
            self.reached.mark("more came while it ran");
        }
        let count = self.scenario.options.count.map(u64::from);
        if count.is_some() && tally.goal == count && self.broker.ready() > 0 {
            self.reached.mark("the count ends it");
        }
    }

    pub(super) fn has_confirmed_in_hand(channel: &Channel, in_hand: usize) -> bool {
        let answered = channel.delivered.len().saturating_sub(in_hand) as u64;
        channel.told_confirmed.iter().any(|tag| *tag > answered)
    }
}
