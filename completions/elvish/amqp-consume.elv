
use builtin;
use str;

set edit:completion:arg-completer[amqp-consume] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'amqp-consume'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'amqp-consume'= {
            cand -q 'Queue to consume from [default: a new one, named by the broker]'
            cand --queue 'Queue to consume from [default: a new one, named by the broker]'
            cand -e 'Declare the queue and bind it to this exchange'
            cand --exchange 'Declare the queue and bind it to this exchange'
            cand -r 'Routing keys to bind with, separated by commas'
            cand --routing-key 'Routing keys to bind with, separated by commas'
            cand --consumer-argument 'Argument of the consumer, such as x-priority=5; integers, true and false have their type; repeatable'
            cand --offset 'Where to begin in a stream: first, last, next, a message''s number, a time (2026-01-31T12:00:00Z), or a duration (10m = from ten minutes ago)'
            cand -c 'End after N messages, with the first failed command''s status [default: no limit]'
            cand --count 'End after N messages, with the first failed command''s status [default: no limit]'
            cand -p 'Prefetch limit (0 = 65535) [default: --jobs, times --batch; with --json 100]; with --coprocess, how many messages a child may have unanswered [default: 1]'
            cand --prefetch-count 'Prefetch limit (0 = 65535) [default: --jobs, times --batch; with --json 100]; with --coprocess, how many messages a child may have unanswered [default: 1]'
            cand -j 'Number of commands to run at once'
            cand --jobs 'Number of commands to run at once'
            cand --stdin 'Kind of standard input for the command: pipe, or file (seekable) [default: pipe]'
            cand --joblog 'Append a line about each command to FILE'
            cand --joblog-format 'Format of the job log: tsv, or json (with what became of the message) [default: tsv]'
            cand --error-status 'Exit status if the tool itself fails: the broker, the connection, the machine [default: 1]'
            cand --timeout 'End a command after this time (SIGTERM, SIGKILL 5s later); it has failed with status 124'
            cand --idle-timeout 'End when no message came for this time and nothing runs (0s = when none is ready)'
            cand --idle-status 'Exit status if --idle-timeout or --max-time ends a run without any message [default: 0]'
            cand --max-time 'Take no more messages after this time, and end as with --idle-timeout'
            cand --rate 'Start no more commands than that: 10, 10/s, 5/m, 100/h'
            cand --grace 'Time that running commands have after SIGTERM or SIGINT [default: no limit]'
            cand --batch 'Start each command for up to N messages; its exit status is that of all'
            cand --batch-wait 'Time that the first message of a batch waits for the others [default: 1s]'
            cand --framing 'How messages follow one another on standard input: json (envelopes, a line each), lines (bodies) or null (bodies with a NUL each) [default: json]'
            cand --recycle 'Start a new child after N messages'
            cand --retries 'Run a failed command up to N more times on the same message'
            cand --retry-delay 'Pause before the first retry, doubled before each further one [default: 1s]'
            cand --on-failure 'What to do with a failed message: requeue, reject (dead-letter, or drop), ack, park (see --park), retry:DURATION (it waits in the broker) or stop (requeue, and end with its status) [default: requeue; in a stream stop]'
            cand --on-exit 'The same by exit status, such as 65=reject or 64-78,99=requeue; repeatable'
            cand --max-attempts 'Reject a message that has failed N times; without a dead-letter exchange it is dropped, see --park'
            cand --park 'Queue for messages that are parked, or that have failed --max-attempts times'
            cand --halt 'End after N failed messages in a row, with the last one''s status'
            cand --delivery-limit 'The queue''s delivery limit (0 = leave it to the broker): a message close to it is republished to the queue''s tail [default: 20 with RabbitMQ 4.0 or later]'
            cand --output-queue 'Publish what a command that succeeded wrote to standard output to this queue, and acknowledge its message when that is confirmed'
            cand --output-exchange 'The same to an exchange, with --output-key'
            cand --output-key 'The routing key of the output [default: empty]; without --output-exchange, the queue that it goes to'
            cand --output-content-type 'The content type of the output and of replies'
            cand --output-limit 'A command that writes more bytes to standard output has failed [default: 16777216]'
            cand --status-address 'Serve /livez, /readyz and /metrics (Prometheus) over HTTP on this address'
            cand -u 'Broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster'
            cand --url 'Broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster'
            cand -s 'Broker''s host [default: localhost]'
            cand --server 'Broker''s host [default: localhost]'
            cand --port 'Broker''s port [default: 5672, with TLS 5671]'
            cand --vhost 'Virtual host [default: /]'
            cand --username 'User name [default: guest]'
            cand --password 'Password; the process list shows it, --authfile hides it [default: guest]'
            cand --heartbeat 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]'
            cand --authfile 'File with two lines, username:NAME and password:SECRET'
            cand --connect-timeout 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]'
            cand --retry 'Time to keep trying while the broker is unreachable [default: 0s]'
            cand --connection-name 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)'
            cand --cacert 'CA certificates to trust besides the system''s (PEM)'
            cand --cert 'Client certificate (PEM)'
            cand --key 'Private key of the client certificate (PEM)'
            cand --server-name 'Name that the server''s certificate must be for [default: the host]'
            cand --log-format 'Format of the tool''s own words on standard error: text, or json (a line each) [default: text]'
            cand -d 'Declare the queue; the broker deletes it with its last consumer'
            cand --declare 'Declare the queue; the broker deletes it with its last consumer'
            cand -x 'Declare the queue for this connection only'
            cand --exclusive 'Declare the queue for this connection only'
            cand --exclusive-consumer 'Be the only consumer of the queue; a quorum queue does not see to that'
            cand -A 'Acknowledge each message before its command runs; a failure loses it'
            cand --no-ack 'Acknowledge each message before its command runs; a failure loses it'
            cand --json 'Without COMMAND: write each message as a line of JSON, then acknowledge it'
            cand --lossy 'With --json: write also a message that JSON cannot hold all of (see amqp-tools(7))'
            cand --hide-url 'Keep the URL in the environment, which may hold a password, from the command'
            cand --quiet 'Say nothing on standard error about failed commands'
            cand --coprocess 'Start the command once for each job and give it message after message; it answers each with a line on file descriptor 3: the exit status'
            cand --split 'Run a batch that failed again in halves, so that only the messages that fail alone have failed'
            cand --reply 'Send what the command wrote, and its exit status as x-exit-status, to the message''s reply-to, before the message is acknowledged'
            cand --tag 'Put the message id, or the command''s number, and a tab before each line of output, and write lines whole'
            cand --ssl 'Use TLS, as a URL of amqps:// does'
            cand --no-default-cert-paths 'Trust only --cacert, not the system''s certificates'
            cand --insecure 'Do not verify the server''s certificate; anyone may read along'
            cand -? 'Show this help and exit'
            cand --help 'Show this help and exit'
            cand --usage 'Show a brief list of all options and exit'
            cand -V 'Print version'
            cand --version 'Print version'
        }
    ]
    $completions[$command]
}
