
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
            cand -e 'The exchange to publish to [default: the default exchange, where the routing key is a queue''s name]'
            cand --exchange 'The exchange to publish to [default: the default exchange, where the routing key is a queue''s name]'
            cand -r 'The routing key; without --exchange, the queue''s name'
            cand --routing-key 'The routing key; without --exchange, the queue''s name'
            cand -b 'The message''s body [default: all of standard input]'
            cand --body 'The message''s body [default: all of standard input]'
            cand --files-from 'Publish the files that FILE names, one a line; - is standard input'
            cand --files0-from 'Publish the files that FILE names, each ended by a NUL, as find -print0 does'
            cand -C 'The MIME type of the body'
            cand --content-type 'The MIME type of the body'
            cand -E 'The MIME content encoding of the body'
            cand --content-encoding 'The MIME content encoding of the body'
            cand -t 'The queue that replies are wanted in'
            cand --reply-to 'The queue that replies are wanted in'
            cand -H 'A header; may be given several times'
            cand --header 'A header; may be given several times'
            cand --priority 'The priority, 0 to 255, for queues made with x-max-priority'
            cand --expiration 'How long the message may wait in a queue, in milliseconds'
            cand --correlation-id 'What ties a reply to its request'
            cand --message-id 'The message''s own name'
            cand --type 'The application''s name for the kind of message'
            cand --app-id 'The publishing application'
            cand --user-id 'The publishing user; the broker refuses any but the one that logs in'
            cand --timestamp 'The message''s time, in seconds since 1970'
            cand --max-in-flight 'How many messages may be unconfirmed at a time, and of their bodies at most 16 MiB'
            cand --checkpoint 'Keep in FILE up to where all is confirmed; the same command, run again, goes on from there'
            cand --progress 'Whether to show progress on standard error; auto: if it is a terminal'
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
            cand -l 'Make each line a message, newline included, and send it as soon as it is read'
            cand --line-buffered 'Make each line a message, newline included, and send it as soon as it is read'
            cand --chomp 'With -l: leave the newline out of the message'
            cand -0 'Make each NUL-terminated record a message, without the NUL'
            cand --null 'Make each NUL-terminated record a message, without the NUL'
            cand --jsonl 'Make a message of each line of JSON, as amqp-get --json and amqp-consume --json write it. Flags win over what it says; -r without -e means the queue of that name'
            cand -p 'Let messages survive a restart of the broker (in durable queues)'
            cand --persistent 'Let messages survive a restart of the broker (in durable queues)'
            cand --no-confirm 'End once the messages are sent, without the broker''s word that it has them'
            cand --mandatory 'Make it an error that a message reaches no queue [default: for the default exchange only]'
            cand --no-mandatory 'Let the broker drop messages that reach no queue'
            cand --json 'Print one JSON object about the run at its end'
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
