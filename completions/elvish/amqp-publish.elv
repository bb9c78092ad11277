
use builtin;
use str;

set edit:completion:arg-completer[amqp-publish] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'amqp-publish'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'amqp-publish'= {
            cand -e 'Exchange to publish to [default: the default exchange]'
            cand --exchange 'Exchange to publish to [default: the default exchange]'
            cand -r 'Routing key; without --exchange, the queue''s name'
            cand --routing-key 'Routing key; without --exchange, the queue''s name'
            cand -b 'Message body [default: all of standard input]'
            cand --body 'Message body [default: all of standard input]'
            cand --files-from 'Publish the files named in FILE, one name per line (- = standard input)'
            cand --files0-from 'Publish the files named in FILE, NUL-terminated as by find -print0'
            cand -C 'MIME type of the body'
            cand --content-type 'MIME type of the body'
            cand -E 'MIME content encoding of the body'
            cand --content-encoding 'MIME content encoding of the body'
            cand -t 'Queue for replies'
            cand --reply-to 'Queue for replies'
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
            cand --file-header 'Put the name of each message''s file into a header'
            cand --rate 'Publish no faster than that, evenly: 10 or 10/s a second, 5/m a minute, 100/h an hour'
            cand --max-in-flight 'Maximum number of unconfirmed messages; of their bodies, 16 MiB'
            cand --checkpoint 'Keep in FILE up to where all is confirmed; the same command, run again, goes on from there. It is refused where the destination, the records, the properties or what is confirmed of the input are no longer the same'
            cand --progress 'Show progress on standard error; auto = on a terminal'
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
            cand -l 'Publish one message per line, newline included, as soon as it is read'
            cand --line-buffered 'Publish one message per line, newline included, as soon as it is read'
            cand --chomp 'With -l: leave out the newline'
            cand -0 'Publish one message per NUL-terminated record, without the NUL'
            cand --null 'Publish one message per NUL-terminated record, without the NUL'
            cand --jsonl 'Publish one message per line of JSON, as amqp-get --json writes it; options override its properties, and -r without -e names a queue'
            cand -p 'Make messages persistent: in durable queues they survive a restart of the broker'
            cand --persistent 'Make messages persistent: in durable queues they survive a restart of the broker'
            cand --auto-message-id 'Give each message an id made of its file''s name, its number there and its body: the same whenever it is published again, so that a consumer can drop what it has seen'
            cand --no-confirm 'Do not wait for the broker''s confirms'
            cand --mandatory 'Fail if a message reaches no queue [default: for the default exchange only]'
            cand --no-mandatory 'Let the broker drop messages that reach no queue'
            cand --json 'Print one JSON object about the run at its end'
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
