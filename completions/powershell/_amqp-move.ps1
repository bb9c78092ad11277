
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'amqp-move' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'amqp-move'
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
        'amqp-move' {
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'The queue to move messages from')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'The queue to move messages from')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'The exchange to move them to [default: the default exchange, where the routing key is a queue''s name]')
            [CompletionResult]::new('--exchange', '--exchange', [CompletionResultType]::ParameterName, 'The exchange to move them to [default: the default exchange, where the routing key is a queue''s name]')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The routing key; without --exchange, the queue to move them to [default with --exchange: the message''s own]')
            [CompletionResult]::new('--routing-key', '--routing-key', [CompletionResultType]::ParameterName, 'The routing key; without --exchange, the queue to move them to [default with --exchange: the message''s own]')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Move at most N messages [default: as many as there are at the start]')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Move at most N messages [default: as many as there are at the start]')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Move no more than N messages a second, or with /m or /h a minute or an hour, evenly spaced')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'Show progress on standard error; auto = on a terminal')
            [CompletionResult]::new('--status-address', '--status-address', [CompletionResultType]::ParameterName, 'Serve /livez, /readyz and /metrics (Prometheus) over HTTP on this address')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'Broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Broker''s host [default: localhost]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Broker''s host [default: localhost]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Broker''s port [default: 5672, with TLS 5671]')
            [CompletionResult]::new('--vhost', '--vhost', [CompletionResultType]::ParameterName, 'Virtual host [default: /]')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'User name [default: guest]')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'Password; the process list shows it, --authfile hides it [default: guest]')
            [CompletionResult]::new('--heartbeat', '--heartbeat', [CompletionResultType]::ParameterName, 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]')
            [CompletionResult]::new('--authfile', '--authfile', [CompletionResultType]::ParameterName, 'File with two lines, username:NAME and password:SECRET')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'Time to keep trying while the broker is unreachable [default: 0s]')
            [CompletionResult]::new('--connection-name', '--connection-name', [CompletionResultType]::ParameterName, 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'CA certificates to trust besides the system''s (PEM)')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--server-name', '--server-name', [CompletionResultType]::ParameterName, 'Name that the server''s certificate must be for [default: the host]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Format of the tool''s own words on standard error: text, or json (a line each) [default: text]')
            [CompletionResult]::new('--back', '--back', [CompletionResultType]::ParameterName, 'Move each message to where it was published before amqp-consume parked it, without the headers that tell of that')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Wait for more messages instead of ending')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print a line of JSON for each moved message: its id, and where its copy went')
            [CompletionResult]::new('--ssl', '--ssl', [CompletionResultType]::ParameterName, 'Use TLS, as a URL of amqps:// does')
            [CompletionResult]::new('--no-default-cert-paths', '--no-default-cert-paths', [CompletionResultType]::ParameterName, 'Trust only --cacert, not the system''s certificates')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not verify the server''s certificate; anyone may read along')
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
