
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'amqp-declare-exchange' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'amqp-declare-exchange'
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
        'amqp-declare-exchange' {
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'The exchange''s name')
            [CompletionResult]::new('--exchange', '--exchange', [CompletionResultType]::ParameterName, 'The exchange''s name')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'How messages are matched with bindings: direct, fanout, topic, headers, or a type that a plugin of the broker adds')
            [CompletionResult]::new('--type', '--type', [CompletionResultType]::ParameterName, 'How messages are matched with bindings: direct, fanout, topic, headers, or a type that a plugin of the broker adds')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Set an argument of the exchange, such as alternate-exchange=NAME; integers, true and false are recognised as such')
            [CompletionResult]::new('--argument', '--argument', [CompletionResultType]::ParameterName, 'Set an argument of the exchange, such as alternate-exchange=NAME; integers, true and false are recognised as such')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'Bind to an exchange, with a routing key')
            [CompletionResult]::new('--unbind', '--unbind', [CompletionResultType]::ParameterName, 'End such a binding; one that there is not is no error')
            [CompletionResult]::new('--bind-argument', '--bind-argument', [CompletionResultType]::ParameterName, 'An argument of each --bind and --unbind, for headers exchanges: x-match=any, or a header and its value; typed as by --argument')
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
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Let the exchange survive a restart of the broker')
            [CompletionResult]::new('--durable', '--durable', [CompletionResultType]::ParameterName, 'Let the exchange survive a restart of the broker')
            [CompletionResult]::new('--auto-delete', '--auto-delete', [CompletionResultType]::ParameterName, 'Let the exchange end with its last binding')
            [CompletionResult]::new('--internal', '--internal', [CompletionResultType]::ParameterName, 'Let the exchange take messages from other exchanges alone')
            [CompletionResult]::new('--passive', '--passive', [CompletionResultType]::ParameterName, 'Only check that the exchange exists')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print {"exchange":NAME} a line')
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
