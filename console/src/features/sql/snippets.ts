/** The same query in other programs' words. The token comes from the environment: no secret is pasted into a script. */

export const PROGRAMS = ['curl', 'python', 'pandas', 'r'] as const
export type Program = (typeof PROGRAMS)[number]

/** A text in a shell's single quotes. */
export const shell = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

export function snippet(program: Program, origin: string, sql: string): string {
  const address = `${origin}/api/v1/sql`
  const body = JSON.stringify({ sql: sql.trim() })
  switch (program) {
    case 'curl':
      return [
        `curl -sS ${address} \\`,
        '  -H "Authorization: Bearer $SALER_TOKEN" \\',
        "  -H 'Content-Type: application/json' -H 'Accept: text/csv' \\",
        `  -d ${shell(body)}`,
      ].join('\n')
    case 'python':
      return [
        'import json, os, urllib.request',
        '',
        'request = urllib.request.Request(',
        `    ${JSON.stringify(address)},`,
        `    data=json.dumps({"sql": ${JSON.stringify(sql.trim())}}).encode(),`,
        '    headers={"Authorization": "Bearer " + os.environ["SALER_TOKEN"], "Content-Type": "application/json"},',
        ')',
        'answer = json.load(urllib.request.urlopen(request))',
        'names = [column["name"] for column in answer["columns"]]',
        'rows = [dict(zip(names, row)) for row in answer["rows"]]',
      ].join('\n')
    case 'pandas':
      return [
        'import io, os, pandas, requests',
        '',
        'answer = requests.post(',
        `    ${JSON.stringify(address)},`,
        `    json={"sql": ${JSON.stringify(sql.trim())}},`,
        '    headers={"Authorization": "Bearer " + os.environ["SALER_TOKEN"], "Accept": "text/csv"},',
        ')',
        'answer.raise_for_status()',
        'frame = pandas.read_csv(io.StringIO(answer.text))',
      ].join('\n')
    case 'r':
      return [
        'library(httr2)',
        '',
        `answer <- request(${JSON.stringify(address)}) |>`,
        '  req_auth_bearer_token(Sys.getenv("SALER_TOKEN")) |>',
        '  req_headers(Accept = "text/csv") |>',
        `  req_body_json(list(sql = ${JSON.stringify(sql.trim())})) |>`,
        '  req_perform()',
        'frame <- read.csv(text = resp_body_string(answer))',
      ].join('\n')
  }
}
