// A deployment that is kept in the database: made, changed, deleted. Those of the configuration file are
// changed there.
import { html } from '../../lib/html.js';
import { post } from '../../lib/api.js';
import { Editor } from '../../parts/editor.js';
import { Actions } from '../../parts/records.js';

/** What a form asks for of `litellm_params`; whatever else is set stays as it is. */
const PARAMS = [
  { name: 'model', label: 'Provider and model', placeholder: 'openai/gpt-4o', required: true },
  { name: 'api_base', label: 'Address', placeholder: "The provider's own" },
  { name: 'rpm', label: 'Requests a minute', kind: 'whole' },
  { name: 'tpm', label: 'Tokens a minute', kind: 'whole' },
  { name: 'max_parallel_requests', label: 'Requests at one time', kind: 'whole' },
  { name: 'weight', label: 'Weight', kind: 'number', placeholder: '1', hint: 'Its share among those of one name' },
  { name: 'order', label: 'Order', kind: 'whole', placeholder: 'None', hint: 'Lower ones are tried first' },
];

const fields = (isNew) => {
  const [model, ...more] = PARAMS;
  return [
    { name: 'model_name', label: 'Name', placeholder: 'gpt-4o', hint: 'What clients ask for. Several of one name share its requests', required: true, full: true },
    model,
    { name: 'api_key', label: "Provider's key", kind: 'secret', placeholder: isNew ? "The provider's variable" : 'As it is', hint: 'Kept encrypted, and never shown' },
    ...more,
  ];
};

/** The body of a request: the name beside the parameters. */
function shape({ model_name: name, ...params }) {
  return { ...(name === undefined ? {} : { model_name: name }), ...(Object.keys(params).length ? { litellm_params: params } : {}) };
}

export const NewModel = ({ onClose, done }) => html`<${Editor} title="New model" verb="Make model" fields=${fields(true)} onClose=${onClose}
  lead="Tried with the whole configuration before it is kept." save=${async (body) => {
    await post('/model/new', shape(body));
    done('Model made.');
  }} />`;

/** `model`: as `/model/info` tells it. */
export function EditModel({ model, onClose, done }) {
  const id = model.model_info.id;
  return html`<${Editor} title=${model.model_name} lead=${html`<code>${id}</code>`} fields=${fields(false)} record=${{ ...model.litellm_params, api_key: '', model_name: model.model_name }} onClose=${onClose}
    save=${async (body) => {
      // Emptied is as it was: a key is replaced, not taken away.
      if (!body.api_key) delete body.api_key;
      await post('/model/update', { ...shape(body), model_info: { id } });
      done('Model saved.');
    }}
    left=${html`<${Actions} done=${done} actions=${[{
      name: 'Delete', danger: true, question: `Delete ${model.model_name}?`, told: 'Model deleted.',
      text: 'Requests go to the other deployments of this name; without any, they are refused.', work: () => post('/model/delete', { id }),
    }]} />`} />`;
}
