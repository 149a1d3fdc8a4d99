// What the classes of failures mean. The words themselves are those of the access log and of metrics, and stay as they are.

const MEANINGS = {
  all_cooling: 'every deployment of the model rests',
  auth: 'the provider refused the gateway\'s credentials',
  bad_request: 'the provider refused the request as wrong',
  body: 'the body of the request is malformed or too large',
  budget_exceeded: 'no money is left in a budget of who asked',
  client_closed: 'the client left',
  conflict: 'the provider saw a conflicting request',
  connection: 'no connection to the provider, or it broke',
  content_policy: 'the provider\'s policy refused the content',
  context_window: 'the prompt is too long for the model',
  deadline: 'total_timeout was over',
  deployments_full: 'every deployment has its max_parallel_requests in flight',
  deployments_limited: 'every deployment is at its rpm or tpm',
  end_user: 'the end user is blocked',
  gateway_full: 'the gateway has its global_max_parallel_requests in flight',
  guardrail: 'a guardrail kept it back',
  head: 'the head of the request is malformed',
  internal: 'the gateway failed; its log has the reason',
  key: 'the key is missing, wrong, blocked or over',
  limits_unavailable: 'what was used is not known now',
  model: 'nothing is called that',
  model_access: 'the key may not call the model',
  none_fits: 'no deployment can serve such a request',
  not_found: 'the provider does not know the model or the path',
  overloaded: 'the provider, or this gateway, is out of capacity',
  quota: 'the account at the provider is out of money or quota',
  rate_limit_exceeded: 'the key, or another payer, is at its limit',
  rate_limited: 'the provider\'s rate limit',
  server: 'the provider broke',
  tags: 'no deployment takes these tags',
  timeout: 'the provider did not answer in time',
  unrecorded: 'the disk takes no records of spend',
};

export const failureName = (word) => word.replace(/_/g, ' ');
/** In a few words; empty for a class that is not known here. */
export const meaning = (word) => MEANINGS[word] ?? '';
