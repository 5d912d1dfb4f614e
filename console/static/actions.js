// What changes something: asks first, and for the token once. The token is in this module's memory
// and nowhere else.
import {byId, post, setText} from './page.js';

const dialog = byId('confirm');
const field = byId('token');
let token = '';
let asked = null;  // {action, resolve, reject} while the dialog is open or its answer on the way
let busy = false;

function refuse(message) {
  setText(byId('refusal'), message);
  byId('token-label').hidden = token !== '';
  (token === '' ? field : byId('cancel')).focus();
}

export function forgetToken() {
  token = '';
}

export const holdsToken = () => token !== '';

// action: {title, text, verb, path, body}. Resolves with the API's answer, or with null when the
// operator thought better of it; rejects when the answer was an error and nobody looks any more.
export function askAndPost(action) {
  setText(byId('confirm-title'), action.title);
  setText(byId('confirm-text'), action.text);
  setText(byId('agree'), action.verb);
  dialog.showModal();
  refuse('');
  return new Promise((resolve, reject) => {
    asked = {action, resolve, reject};
  });
}

// The same action again, for what one request leaves: agreed to already.
export const postAgain = (path, body) => post(path, body, token);

async function agree() {
  const given = token || field.value.trim();
  if (given === '') return refuse('The token is missing.');
  if (!/^[\x21-\x7e]+$/.test(given)) return refuse('No token has such characters.');
  const {action, resolve, reject} = asked;
  busy = true;
  byId('agree').disabled = true;
  try {
    const answer = await post(action.path, action.body, given);
    token = given;
    asked = null;
    dialog.close();
    resolve(answer);
  } catch (problem) {
    const unknown = problem.status === 401;
    if (unknown) token = '';
    if (dialog.open) refuse(unknown ? 'The daemon refused the token.' : problem.message);
    else reject(problem);
  } finally {
    busy = false;
    byId('agree').disabled = false;
  }
}

dialog.querySelector('form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (!busy) agree();
});
byId('cancel').addEventListener('click', () => dialog.close());
dialog.addEventListener('close', () => {
  field.value = '';
  if (!busy) asked?.resolve(null);
});
