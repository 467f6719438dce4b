// Requests to the service, and what it says when it refuses one (RFC 9457).

export class Problem extends Error {
  constructor({ title = "", detail = "", advice = "", code = "", status = 0 }) {
    super(detail || title || `the service answered ${status}`);
    Object.assign(this, { title, detail, advice, code, status });
  }
}

export async function send(method, url, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(url, {
      method,
      headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem({ detail: "the service does not answer", advice: "is it still running?" });
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Problem({ ...told, status: answer.status });
}

export const getJson = (url) => send("GET", url);
