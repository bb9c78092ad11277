
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'amqp-publish' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'amqp-publish'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'amqp-publish' {
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'The exchange to publish to [default: the default exchange, where the routing key is a queue''s name]')
            [CompletionResult]::new('--exchange', '--exchange', [CompletionResultType]::ParameterName, 'The exchange to publish to [default: the default exchange, where the routing key is a queue''s name]')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The routing key; without --exchange, the queue''s name')
            [CompletionResult]::new('--routing-key', '--routing-key', [CompletionResultType]::ParameterName, 'The routing key; without --exchange, the queue''s name')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'The message''s body [default: all of standard input]')
            [CompletionResult]::new('--body', '--body', [CompletionResultType]::ParameterName, 'The message''s body [default: all of standard input]')
            [CompletionResult]::new('--files-from', '--files-from', [CompletionResultType]::ParameterName, 'Publish the files that FILE names, one a line; - is standard input')
            [CompletionResult]::new('--files0-from', '--files0-from', [CompletionResultType]::ParameterName, 'Publish the files that FILE names, each ended by a NUL, as find -print0 does')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'The MIME type of the body')
            [CompletionResult]::new('--content-type', '--content-type', [CompletionResultType]::ParameterName, 'The MIME type of the body')
            [CompletionResult]::new('-E', '-E ', [CompletionResultType]::ParameterName, 'The MIME content encoding of the body')
            [CompletionResult]::new('--content-encoding', '--content-encoding', [CompletionResultType]::ParameterName, 'The MIME content encoding of the body')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'The queue that replies are wanted in')
            [CompletionResult]::new('--reply-to', '--reply-to', [CompletionResultType]::ParameterName, 'The queue that replies are wanted in')
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'A header; may be given several times')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'A header; may be given several times')
            [CompletionResult]::new('--priority', '--priority', [CompletionResultType]::ParameterName, 'The priority, 0 to 255, for queues made with x-max-priority')
            [CompletionResult]::new('--expiration', '--expiration', [CompletionResultType]::ParameterName, 'How long the message may wait in a queue, in milliseconds')
            [CompletionResult]::new('--correlation-id', '--correlation-id', [CompletionResultType]::ParameterName, 'What ties a reply to its request')
            [CompletionResult]::new('--message-id', '--message-id', [CompletionResultType]::ParameterName, 'The message''s own name')
            [CompletionResult]::new('--type', '--type', [CompletionResultType]::ParameterName, 'The application''s name for the kind of message')
            [CompletionResult]::new('--app-id', '--app-id', [CompletionResultType]::ParameterName, 'The publishing application')
            [CompletionResult]::new('--user-id', '--user-id', [CompletionResultType]::ParameterName, 'The publishing user; the broker refuses any but the one that logs in')
            [CompletionResult]::new('--timestamp', '--timestamp', [CompletionResultType]::ParameterName, 'The message''s time, in seconds since 1970')
            [CompletionResult]::new('--max-in-flight', '--max-in-flight', [CompletionResultType]::ParameterName, 'How many messages may be unconfirmed at a time, and of their bodies at most 16 MiB')
            [CompletionResult]::new('--checkpoint', '--checkpoint', [CompletionResultType]::ParameterName, 'Keep in FILE up to where all is confirmed; the same command, run again, goes on from there')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Whether to show progress on standard error; auto: if it is a terminal')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'The broker''s host [default: localhost]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The broker''s host [default: localhost]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The port [default: 5672, with TLS 5671]')
            [CompletionResult]::new('--vhost', '--vhost', [CompletionResultType]::ParameterName, 'The virtual host [default: /]')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'The user to log in as [default: guest]')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'The user''s password [default: guest]; others on this machine can see it in the process list, see --authfile')
            [CompletionResult]::new('--heartbeat', '--heartbeat', [CompletionResultType]::ParameterName, 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]')
            [CompletionResult]::new('--authfile', '--authfile', [CompletionResultType]::ParameterName, 'A file with the two lines username:NAME and password:SECRET')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'How long connecting may take: name, TCP, TLS and login together [default: 10s]')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'How long to keep trying while the broker cannot be reached [default: 0s]')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificates of authorities to trust besides the system''s, in PEM')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'The client''s certificate, in PEM')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The client''s private key, in PEM')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Make each line a message, newline included, and send it as soon as it is read')
            [CompletionResult]::new('--line-buffered', '--line-buffered', [CompletionResultType]::ParameterName, 'Make each line a message, newline included, and send it as soon as it is read')
            [CompletionResult]::new('--chomp', '--chomp', [CompletionResultType]::ParameterName, 'With -l: leave the newline out of the message')
            [CompletionResult]::new('-0', '-0', [CompletionResultType]::ParameterName, 'Make each NUL-terminated record a message, without the NUL')
            [CompletionResult]::new('--null', '--null', [CompletionResultType]::ParameterName, 'Make each NUL-terminated record a message, without the NUL')
            [CompletionResult]::new('--jsonl', '--jsonl', [CompletionResultType]::ParameterName, 'Make a message of each line of JSON, as amqp-get --json and amqp-consume --json write it. Flags win over what it says; -r without -e means the queue of that name')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Let messages survive a restart of the broker (in durable queues)')
            [CompletionResult]::new('--persistent', '--persistent', [CompletionResultType]::ParameterName, 'Let messages survive a restart of the broker (in durable queues)')
            [CompletionResult]::new('--no-confirm', '--no-confirm', [CompletionResultType]::ParameterName, 'End once the messages are sent, without the broker''s word that it has them')
            [CompletionResult]::new('--mandatory', '--mandatory', [CompletionResultType]::ParameterName, 'Make it an error that a message reaches no queue [default: for the default exchange only]')
            [CompletionResult]::new('--no-mandatory', '--no-mandatory', [CompletionResultType]::ParameterName, 'Let the broker drop messages that reach no queue')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object about the run at its end')
            [CompletionResult]::new('--ssl', '--ssl', [CompletionResultType]::ParameterName, 'Connect by TLS, and by nothing else; so does a URL of amqps://')
            [CompletionResult]::new('--no-default-cert-paths', '--no-default-cert-paths', [CompletionResultType]::ParameterName, 'Trust none of the system''s certificates, only --cacert')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Trust any server, whatever its certificate: anyone between you and it can read along')
            [CompletionResult]::new('-?', '-?', [CompletionResultType]::ParameterName, 'Show this help and exit')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Show this help and exit')
            [CompletionResult]::new('--usage', '--usage', [CompletionResultType]::ParameterName, 'Show a brief list of all options and exit')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
