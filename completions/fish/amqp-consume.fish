set -l before_command 'not __fish_amqp_consume_command >/dev/null'
complete -c amqp-consume -n $before_command -s q -l queue -d 'Queue to consume from [default: a new one, named by the broker]' -r
complete -c amqp-consume -n $before_command -s e -l exchange -d 'Declare the queue and bind it to this exchange' -r
complete -c amqp-consume -n $before_command -s r -l routing-key -d 'Routing keys to bind with, separated by commas' -r
complete -c amqp-consume -n $before_command -l consumer-argument -d 'Argument of the consumer, such as x-priority=5; integers, true and false have their type; repeatable' -r
complete -c amqp-consume -n $before_command -l offset -d 'Where to begin in a stream: first, last, next, a message\'s number, a time (2026-01-31T12:00:00Z), or a duration (10m = from ten minutes ago)' -r -f -a "first\t''
last\t''
next\t''"
complete -c amqp-consume -n $before_command -s c -l count -d 'End after N messages, with the first failed command\'s status [default: no limit]' -r
complete -c amqp-consume -n $before_command -s p -l prefetch-count -d 'Prefetch limit (0 = 65535) [default: --jobs, times --batch; with --json 100]; with --coprocess, how many messages a child may have unanswered [default: 1]' -r
complete -c amqp-consume -n $before_command -s j -l jobs -d 'Number of commands to run at once' -r
complete -c amqp-consume -n $before_command -l stdin -d 'Kind of standard input for the command: pipe, or file (seekable) [default: pipe]' -r -f -a "pipe\t''
file\t''"
complete -c amqp-consume -n $before_command -l joblog -d 'Append a line about each command to FILE' -r -F
complete -c amqp-consume -n $before_command -l joblog-format -d 'Format of the job log: tsv, or json (with what became of the message) [default: tsv]' -r -f -a "tsv\t''
json\t''"
complete -c amqp-consume -n $before_command -l error-status -d 'Exit status if the tool itself fails: the broker, the connection, the machine [default: 1]' -r
complete -c amqp-consume -n $before_command -l timeout -d 'End a command after this time (SIGTERM, SIGKILL 5s later); it has failed with status 124' -r
complete -c amqp-consume -n $before_command -l idle-timeout -d 'End when no message came for this time and nothing runs (0s = when none is ready)' -r
complete -c amqp-consume -n $before_command -l idle-status -d 'Exit status if --idle-timeout or --max-time ends a run without any message [default: 0]' -r
complete -c amqp-consume -n $before_command -l max-time -d 'Take no more messages after this time, and end as with --idle-timeout' -r
complete -c amqp-consume -n $before_command -l rate -d 'Start no more commands than that: 10, 10/s, 5/m, 100/h' -r
complete -c amqp-consume -n $before_command -l grace -d 'Time that running commands have after SIGTERM or SIGINT [default: no limit]' -r
complete -c amqp-consume -n $before_command -l batch -d 'Start each command for up to N messages; its exit status is that of all' -r
complete -c amqp-consume -n $before_command -l batch-wait -d 'Time that the first message of a batch waits for the others [default: 1s]' -r
complete -c amqp-consume -n $before_command -l framing -d 'How messages follow one another on standard input: json (envelopes, a line each), lines (bodies) or null (bodies with a NUL each) [default: json]' -r -f -a "json\t''
lines\t''
null\t''"
complete -c amqp-consume -n $before_command -l recycle -d 'Start a new child after N messages' -r
complete -c amqp-consume -n $before_command -l retries -d 'Run a failed command up to N more times on the same message' -r
complete -c amqp-consume -n $before_command -l retry-delay -d 'Pause before the first retry, doubled before each further one [default: 1s]' -r
complete -c amqp-consume -n $before_command -l on-failure -d 'What to do with a failed message: requeue, reject (dead-letter, or drop), ack, park (see --park), retry:DURATION (it waits in the broker) or stop (requeue, and end with its status) [default: requeue; in a stream stop]' -r -f -a "requeue\t''
reject\t''
ack\t''
park\t''
stop\t''
retry:\t''"
complete -c amqp-consume -n $before_command -l on-exit -d 'The same by exit status, such as 65=reject or 64-78,99=requeue; repeatable' -r
complete -c amqp-consume -n $before_command -l max-attempts -d 'Reject a message that has failed N times; without a dead-letter exchange it is dropped, see --park' -r
complete -c amqp-consume -n $before_command -l park -d 'Queue for messages that are parked, or that have failed --max-attempts times' -r
complete -c amqp-consume -n $before_command -l halt -d 'End after N failed messages in a row, with the last one\'s status' -r
complete -c amqp-consume -n $before_command -l delivery-limit -d 'The queue\'s delivery limit (0 = leave it to the broker): a message close to it is republished to the queue\'s tail [default: 20 with RabbitMQ 4.0 or later]' -r
complete -c amqp-consume -n $before_command -l output-queue -d 'Publish what a command that succeeded wrote to standard output to this queue, and acknowledge its message when that is confirmed' -r
complete -c amqp-consume -n $before_command -l output-exchange -d 'The same to an exchange, with --output-key' -r
complete -c amqp-consume -n $before_command -l output-key -d 'The routing key of the output [default: empty]; without --output-exchange, the queue that it goes to' -r
complete -c amqp-consume -n $before_command -l output-content-type -d 'The content type of the output and of replies' -r
complete -c amqp-consume -n $before_command -l output-limit -d 'A command that writes more bytes to standard output has failed [default: 16777216]' -r
complete -c amqp-consume -n $before_command -l status-address -d 'Serve /livez, /readyz and /metrics (Prometheus) over HTTP on this address' -r
complete -c amqp-consume -n $before_command -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-consume -n $before_command -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-consume -n $before_command -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-consume -n $before_command -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-consume -n $before_command -l username -d 'User name [default: guest]' -r
complete -c amqp-consume -n $before_command -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-consume -n $before_command -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-consume -n $before_command -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-consume -n $before_command -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-consume -n $before_command -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-consume -n $before_command -l connection-name -d 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)' -r
complete -c amqp-consume -n $before_command -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-consume -n $before_command -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-consume -n $before_command -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-consume -n $before_command -l server-name -d 'Name that the server\'s certificate must be for [default: the host]' -r
complete -c amqp-consume -n $before_command -l log-format -d 'Format of the tool\'s own words on standard error: text, or json (a line each) [default: text]' -r -f -a "text\t''
json\t''"
complete -c amqp-consume -n $before_command -s d -l declare -d 'Declare the queue; the broker deletes it with its last consumer'
complete -c amqp-consume -n $before_command -s x -l exclusive -d 'Declare the queue for this connection only'
complete -c amqp-consume -n $before_command -l exclusive-consumer -d 'Be the only consumer of the queue; a quorum queue does not see to that'
complete -c amqp-consume -n $before_command -s A -l no-ack -d 'Acknowledge each message before its command runs; a failure loses it'
complete -c amqp-consume -n $before_command -l json -d 'Without COMMAND: write each message as a line of JSON, then acknowledge it'
complete -c amqp-consume -n $before_command -l lossy -d 'With --json: write also a message that JSON cannot hold all of (see amqp-tools(7))'
complete -c amqp-consume -n $before_command -l hide-url -d 'Keep the URL in the environment, which may hold a password, from the command'
complete -c amqp-consume -n $before_command -l quiet -d 'Say nothing on standard error about failed commands'
complete -c amqp-consume -n $before_command -l coprocess -d 'Start the command once for each job and give it message after message; it answers each with a line on file descriptor 3: the exit status'
complete -c amqp-consume -n $before_command -l split -d 'Run a batch that failed again in halves, so that only the messages that fail alone have failed'
complete -c amqp-consume -n $before_command -l reply -d 'Send what the command wrote, and its exit status as x-exit-status, to the message\'s reply-to, before the message is acknowledged'
complete -c amqp-consume -n $before_command -l tag -d 'Put the message id, or the command\'s number, and a tab before each line of output, and write lines whole'
complete -c amqp-consume -n $before_command -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-consume -n $before_command -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-consume -n $before_command -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-consume -n $before_command -s '?' -l help -d 'Show this help and exit'
complete -c amqp-consume -n $before_command -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-consume -n $before_command -s V -l version -d 'Print version'
# COMMAND and its arguments, without the word that is being typed; fails where COMMAND does not stand there yet.
function __fish_amqp_consume_command
    set -l words (commandline -opc)[2..-1]
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        switch $word
            case --
                set -q words[1]; or return 1
                string escape -- $words
                return 0
            case -q --queue -e --exchange -r --routing-key --consumer-argument --offset -c --count -p --prefetch-count -j --jobs --stdin --joblog --joblog-format --error-status --timeout --idle-timeout --idle-status --max-time --rate --grace --batch --batch-wait --framing --recycle --retries --retry-delay --on-failure --on-exit --max-attempts --park --halt --delivery-limit --output-queue --output-exchange --output-key --output-content-type --output-limit --status-address -u --url -s --server --port --vhost --username --password --heartbeat --authfile --connect-timeout --retry --connection-name --cacert --cert --key --server-name --log-format
                set -q words[1]; and set -e words[1]
            case '--*'
            case '-*'
                if string match -rq -- '^-[dxA?hV]*[qercpjus]$' $word; and set -q words[1]
                    set -e words[1]
                end
            case '*'
                string escape -- $word $words
                return 0
        end
    end
    return 1
end

# What is behind COMMAND is completed as if it stood alone.
function __fish_amqp_consume_operands
    set -l command (__fish_amqp_consume_command)
    complete -C (string join ' ' -- $command (commandline -ct))
end

complete -c amqp-consume -x -a '(__fish_amqp_consume_operands)'
