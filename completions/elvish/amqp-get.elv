
use builtin;
use str;

set edit:completion:arg-completer[amqp-get] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'amqp-get'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'amqp-get'= {
            cand -q 'Queue to take messages from'
            cand --queue 'Queue to take messages from'
            cand -c 'Maximum number of messages'
            cand --count 'Maximum number of messages'
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
            cand --requeue 'Requeue the messages when all are written'
            cand --json 'Write each message as a line of JSON, as amqp-publish --jsonl reads it'
            cand --lossy 'With --json: write also a message that JSON cannot hold all of (see amqp-tools(7))'
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
