
use builtin;
use str;

set edit:completion:arg-completer[amqp-call] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'amqp-call'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'amqp-call'= {
            cand -e 'The exchange to publish to [default: the default exchange, where the routing key is a queue''s name]'
            cand --exchange 'The exchange to publish to [default: the default exchange, where the routing key is a queue''s name]'
            cand -r 'The routing key; without --exchange, the queue''s name'
            cand --routing-key 'The routing key; without --exchange, the queue''s name'
            cand -b 'The request''s body [default: all of standard input]'
            cand --body 'The request''s body [default: all of standard input]'
            cand --timeout 'How long the reply may take; after that the request expires, and the exit status is 124'
            cand -C 'MIME type of the body'
            cand --content-type 'MIME type of the body'
            cand -E 'MIME content encoding of the body'
            cand --content-encoding 'MIME content encoding of the body'
            cand -H 'Header; repeatable'
            cand --header 'Header; repeatable'
            cand --typed-header 'A header whose value is an integer, true or false where it reads as such, as in x-delay=5000; may be given several times'
            cand --priority 'The priority, 0 to 255, for queues made with x-max-priority'
            cand --expiration 'Time to live in a queue, in milliseconds'
            cand --correlation-id 'Correlation id of a request and its reply'
            cand --message-id 'Message id'
            cand --type 'Message type, by the application''s own name for it'
            cand --app-id 'Name of the publishing application'
            cand --user-id 'User name; the broker refuses any but the connection''s'
            cand --timestamp 'Timestamp, in seconds since 1970'
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
            cand -t 'Queue for replies'
            cand --reply-to 'Queue for replies'
            cand --log-format 'Format of the tool''s own words on standard error: text, or json (a line each) [default: text]'
            cand --json 'Print the reply with its properties as a line of JSON; the exit status stays the reply''s'
            cand --lossy 'With --json: print also a reply that JSON cannot hold all of (see amqp-tools(7))'
            cand -p 'Make messages persistent: in durable queues they survive a restart of the broker'
            cand --persistent 'Make messages persistent: in durable queues they survive a restart of the broker'
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
