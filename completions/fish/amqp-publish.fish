complete -c amqp-publish -s e -l exchange -d 'The exchange to publish to [default: the default exchange, where the routing key is a queue\'s name]' -r
complete -c amqp-publish -s r -l routing-key -d 'The routing key; without --exchange, the queue\'s name' -r
complete -c amqp-publish -s b -l body -d 'The message\'s body [default: all of standard input]' -r
complete -c amqp-publish -s C -l content-type -d 'The MIME type of the body' -r
complete -c amqp-publish -s E -l content-encoding -d 'The MIME content encoding of the body' -r
complete -c amqp-publish -s t -l reply-to -d 'The queue that replies are wanted in' -r
complete -c amqp-publish -s H -l header -d 'A header; may be given several times' -r
complete -c amqp-publish -l max-in-flight -d 'How many messages may be unconfirmed at a time' -r
complete -c amqp-publish -s u -l url -d 'The broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn' -r
complete -c amqp-publish -s s -l server -d 'The broker\'s host [default: localhost]' -r
complete -c amqp-publish -l port -d 'The port [default: 5672, with TLS 5671]' -r
complete -c amqp-publish -l vhost -d 'The virtual host [default: /]' -r
complete -c amqp-publish -l username -d 'The user to log in as [default: guest]' -r
complete -c amqp-publish -l password -d 'The user\'s password [default: guest]; others on this machine can see it in the process list, see --authfile' -r
complete -c amqp-publish -l heartbeat -d 'Seconds between heartbeats; 0 turns them off [default: the broker\'s, at most 60]' -r
complete -c amqp-publish -l authfile -d 'A file with the two lines username:NAME and password:SECRET' -r -F
complete -c amqp-publish -l connect-timeout -d 'How long connecting may take: name, TCP, TLS and login together [default: 10s]' -r
complete -c amqp-publish -l retry -d 'How long to keep trying while the broker cannot be reached [default: 0s]' -r
complete -c amqp-publish -l cacert -d 'Certificates of authorities to trust besides the system\'s, in PEM' -r -F
complete -c amqp-publish -l cert -d 'The client\'s certificate, in PEM' -r -F
complete -c amqp-publish -l key -d 'The client\'s private key, in PEM' -r -F
complete -c amqp-publish -s l -l line-buffered -d 'Make each line a message, newline included, and send it as soon as it is read'
complete -c amqp-publish -l chomp -d 'With -l: leave the newline out of the message'
complete -c amqp-publish -s p -l persistent -d 'Let messages survive a restart of the broker (in durable queues)'
complete -c amqp-publish -l no-confirm -d 'Exit 0 once the messages are sent, without the broker\'s word that it has them'
complete -c amqp-publish -l mandatory -d 'Make it an error that a message reaches no queue [default: for the default exchange only]'
complete -c amqp-publish -l no-mandatory -d 'Let the broker drop messages that reach no queue'
complete -c amqp-publish -l json -d 'Print one JSON object about the run at its end'
complete -c amqp-publish -l ssl -d 'Connect by TLS, and by nothing else; so does a URL of amqps://'
complete -c amqp-publish -l no-default-cert-paths -d 'Trust none of the system\'s certificates, only --cacert'
complete -c amqp-publish -l insecure -d 'Trust any server, whatever its certificate: anyone between you and it can read along'
complete -c amqp-publish -s ? -l help -d 'Show this help and exit'
complete -c amqp-publish -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-publish -s V -l version -d 'Print version'
