
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
            cand -q 'The queue to consume from [default: a new one, named by the broker]'
            cand --queue 'The queue to consume from [default: a new one, named by the broker]'
            cand -e 'Declare the queue and bind it to this exchange'
            cand --exchange 'Declare the queue and bind it to this exchange'
            cand -r 'The routing keys to bind with, separated by commas'
            cand --routing-key 'The routing keys to bind with, separated by commas'
            cand -c 'End after N messages, with the status of the first command that failed [default: no limit]'
            cand --count 'End after N messages, with the status of the first command that failed [default: no limit]'
            cand -p 'How many unacknowledged messages the broker may hand over; 0: 65535 [default: as many as --jobs; with --json 100]'
            cand --prefetch-count 'How many unacknowledged messages the broker may hand over; 0: 65535 [default: as many as --jobs; with --json 100]'
            cand -j 'How many commands may run at once'
            cand --jobs 'How many commands may run at once'
            cand --stdin 'What the command''s standard input is: pipe, or file, which can be sought in and opened as /dev/stdin [default: pipe]'
            cand --joblog 'Append a line about each command to this file'
            cand --timeout 'End a command that runs longer, by SIGTERM and 5s later SIGKILL; it has failed, with status 124'
            cand --idle-timeout 'End when no message has come for that long and nothing runs; 0s: when the queue is empty'
            cand --idle-status 'The exit status if --idle-timeout passes and not one message was handled [default: 0]'
            cand --grace 'After SIGTERM or SIGINT, end commands that still run after that long [default: let them finish]'
            cand --retries 'Run the command again, up to N times, on a message before that counts as failed'
            cand --retry-delay 'The pause before the first retry, doubled before each further one [default: 1s]'
            cand --on-failure 'What becomes of a message whose command failed: requeue, reject (to the queue''s dead-letter exchange; without one it is gone) or ack [default: requeue]'
            cand --on-exit 'The same for certain exit statuses, such as 65=reject or 64-78,99=requeue; may be given several times'
            cand --max-attempts 'Reject a message that has failed N times instead of requeueing it'
            cand --park 'Put a message that has failed --max-attempts times into this queue instead of rejecting it'
            cand --delivery-limit 'The queue''s delivery limit: a message close to it goes to the queue''s tail, so that the broker does not drop it; 0: it may [default: 20 with RabbitMQ 4.0 or later]'
            cand -u 'The broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn'
            cand --url 'The broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn'
            cand -s 'The broker''s host [default: localhost]'
            cand --server 'The broker''s host [default: localhost]'
            cand --port 'The port [default: 5672, with TLS 5671]'
            cand --vhost 'The virtual host [default: /]'
            cand --username 'The user to log in as [default: guest]'
            cand --password 'The user''s password [default: guest]; others on this machine can see it in the process list, see --authfile'
            cand --heartbeat 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]'
            cand --authfile 'A file with the two lines username:NAME and password:SECRET'
            cand --connect-timeout 'How long connecting may take: name, TCP, TLS and login together [default: 10s]'
            cand --retry 'How long to keep trying while the broker cannot be reached [default: 0s]'
            cand --cacert 'Certificates of authorities to trust besides the system''s, in PEM'
            cand --cert 'The client''s certificate, in PEM'
            cand --key 'The client''s private key, in PEM'
            cand -d 'Declare the queue; it ends with its last consumer'
            cand --declare 'Declare the queue; it ends with its last consumer'
            cand -x 'Declare the queue for this connection alone'
            cand --exclusive 'Declare the queue for this connection alone'
            cand -A 'Acknowledge each message before its command runs: if that fails, the message is gone'
            cand --no-ack 'Acknowledge each message before its command runs: if that fails, the message is gone'
            cand --json 'Without COMMAND: write each message to standard output as a line of JSON, and acknowledge it then'
            cand --ssl 'Connect by TLS, and by nothing else; so does a URL of amqps://'
            cand --no-default-cert-paths 'Trust none of the system''s certificates, only --cacert'
            cand --insecure 'Trust any server, whatever its certificate: anyone between you and it can read along'
            cand -? 'Show this help and exit'
            cand --help 'Show this help and exit'
            cand --usage 'Show a brief list of all options and exit'
            cand -V 'Print version'
            cand --version 'Print version'
        }
    ]
    $completions[$command]
}
