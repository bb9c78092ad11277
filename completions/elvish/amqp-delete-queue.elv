
use builtin;
use str;

set edit:completion:arg-completer[amqp-delete-queue] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'amqp-delete-queue'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'amqp-delete-queue'= {
            cand -q 'The queue''s name'
            cand --queue 'The queue''s name'
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
            cand --if-unused 'Refuse to delete a queue that has consumers'
            cand -e 'Refuse to delete a queue that has messages'
            cand --if-empty 'Refuse to delete a queue that has messages'
            cand --purge 'Drop all messages that are ready, but keep the queue'
            cand --json 'Print {"queue":NAME,"messages":N} a line'
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
