complete -c amqp-publish -s e -l exchange -d 'The exchange to publish to [default: the default exchange, where the routing key is a queue\'s name]' -r
complete -c amqp-publish -s r -l routing-key -d 'The routing key; without --exchange, the queue\'s name' -r
complete -c amqp-publish -s b -l body -d 'The message\'s body [default: all of standard input]' -r
complete -c amqp-publish -l files-from -d 'Publish the files that FILE names, one a line; - is standard input' -r
complete -c amqp-publish -l files0-from -d 'Publish the files that FILE names, each ended by a NUL, as find -print0 does' -r
complete -c amqp-publish -s C -l content-type -d 'The MIME type of the body' -r
complete -c amqp-publish -s E -l content-encoding -d 'The MIME content encoding of the body' -r
complete -c amqp-publish -s t -l reply-to -d 'The queue that replies are wanted in' -r
complete -c amqp-publish -s H -l header -d 'A header; may be given several times' -r
complete -c amqp-publish -l priority -d 'The priority, 0 to 255, for queues made with x-max-priority' -r
complete -c amqp-publish -l expiration -d 'How long the message may wait in a queue, in milliseconds' -r
complete -c amqp-publish -l correlation-id -d 'What ties a reply to its request' -r
complete -c amqp-publish -l message-id -d 'The message\'s own name' -r
complete -c amqp-publish -l type -d 'The application\'s name for the kind of message' -r
complete -c amqp-publish -l app-id -d 'The publishing application' -r
complete -c amqp-publish -l user-id -d 'The publishing user; the broker refuses any but the one that logs in' -r
complete -c amqp-publish -l timestamp -d 'The message\'s time, in seconds since 1970' -r
complete -c amqp-publish -l max-in-flight -d 'How many messages may be unconfirmed at a time, and of their bodies at most 16 MiB' -r
complete -c amqp-publish -l checkpoint -d 'Keep in FILE up to where all is confirmed; the same command, run again, goes on from there' -r -F
complete -c amqp-publish -l progress -d 'Whether to show progress on standard error; auto: if it is a terminal' -r -f -a "auto\t''
always\t''
never\t''"
complete -c amqp-publish -s u -l url -d 'The broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn' -r
complete -c amqp-publish -s s -l server -d 'The broker\'s host [default: localhost]' -r
complete -c amqp-publish -l port -d 'The port [default: 5672, with TLS 5671]' -r
complete -c amqp-publish -l vhost -d 'The virtual host [default: /]' -r
complete -c amqp-publish -l username -d 'The user to log in as [default: guest]' -r
complete -c amqp-publish -l password -d 'The user\'s password [default: guest]; others on this machine can see it in the process list, see --authfile' -r
complete -c amqp-publish -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-publish -l authfile -d 'A file with the two lines username:NAME and password:SECRET' -r -F
complete -c amqp-publish -l connect-timeout -d 'How long connecting may take: name, TCP, TLS and login together [default: 10s]' -r
complete -c amqp-publish -l retry -d 'How long to keep trying while the broker cannot be reached [default: 0s]' -r
complete -c amqp-publish -l cacert -d 'Certificates of authorities to trust besides the system\'s, in PEM' -r -F
complete -c amqp-publish -l cert -d 'The client\'s certificate, in PEM' -r -F
complete -c amqp-publish -l key -d 'The client\'s private key, in PEM' -r -F
complete -c amqp-publish -s l -l line-buffered -d 'Make each line a message, newline included, and send it as soon as it is read'
complete -c amqp-publish -l chomp -d 'With -l: leave the newline out of the message'
complete -c amqp-publish -s 0 -l null -d 'Make each NUL-terminated record a message, without the NUL'
complete -c amqp-publish -l jsonl -d 'Make a message of each line of JSON, as amqp-get --json and amqp-consume --json write it. Flags win over what it says; -r without -e means the queue of that name'
complete -c amqp-publish -s p -l persistent -d 'Let messages survive a restart of the broker (in durable queues)'
complete -c amqp-publish -l no-confirm -d 'End once the messages are sent, without the broker\'s word that it has them'
complete -c amqp-publish -l mandatory -d 'Make it an error that a message reaches no queue [default: for the default exchange only]'
complete -c amqp-publish -l no-mandatory -d 'Let the broker drop messages that reach no queue'
complete -c amqp-publish -l json -d 'Print one JSON object about the run at its end'
complete -c amqp-publish -l ssl -d 'Connect by TLS, and by nothing else; so does a URL of amqps://'
complete -c amqp-publish -l no-default-cert-paths -d 'Trust none of the system\'s certificates, only --cacert'
complete -c amqp-publish -l insecure -d 'Trust any server, whatever its certificate: anyone between you and it can read along'
complete -c amqp-publish -s ? -l help -d 'Show this help and exit'
complete -c amqp-publish -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-publish -s V -l version -d 'Print version'
