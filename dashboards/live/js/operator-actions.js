// Operator actions: shows the effect on buyers as the server describes it, asks for a reason and a typed word, calls the
// admin API and shows its response.

import { by, fill, make, mark, setText } from './dom.js';
import { rateMeaning, restockMeaning } from './meanings.js';
import { count } from './numbers.js';
import { problemOf } from './stream.js';

/** Timeout of a call. */
const PATIENCE_MS = 15000;

/** The actions that a state of the sale allows. */
function offered(sale) {
  if (!sale) return ['limits'];
  if (sale.closed || sale.state === 'closed') return [sale.frozen ? 'unfreeze' : 'freeze', 'limits'];
  const standby = sale.waiting ? [sale.suspended ? 'standby-resume' : 'standby-suspend'] : [];
  return [sale.paused ? 'resume' : 'pause', sale.frozen ? 'unfreeze' : 'freeze', 'restock', ...standby, 'limits', 'close'];
}

const NAMES = {
  pause: 'Pause', resume: 'Resume', freeze: 'Freeze the clock', unfreeze: 'Unfreeze the clock', restock: 'Restock', limits: 'Limits',
  close: 'Close for good', 'standby-suspend': 'Suspend standby', 'standby-resume': 'Resume standby',
};
const DONE = {
  pause: 'Paused: new reservations are refused.',
  resume: 'Resumed: new reservations are accepted.',
  freeze: 'Frozen: no hold expires.',
  unfreeze: 'Unfrozen: the sale clock runs.',
  close: 'Closed for good.',
  'standby-suspend': 'Suspended: what comes back is set aside.',
  'standby-resume': 'Resumed: what was set aside is granted.',
};

function field(id, text, input) {
  const label = make('label', '', text);
  label.htmlFor = id;
  input.id = id;
  return [label, input];
}

/** What a new total does, before it is applied. */
function meaningOf(was, total) {
  return was === '' || total === '' ? 'The new total replaces the present one.' : restockMeaning(Number(was), Number(total));
}

function numberInput(min = 0) {
  const input = make('input');
  Object.assign(input, { type: 'number', min: String(min), max: '1000000000', step: '1', required: true, inputMode: 'numeric' });
  return input;
}

export class OperatorActions {
  /** The ops token, never stored. */
  token = '';
  #about = null;
  #now = null;
  #action = '';
  /** The sale that the dialog names: the page may go on to another one behind it. */
  #sale = '';
  #dialog = by('action');
  #isBusy = false;
  #isDone = false;

  constructor() {
    by('action-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#perform();
    });
    by('action-form').addEventListener('input', () => this.#check());
    by('action-cancel').addEventListener('click', () => this.#dialog.close());
  }

  /** Ends what was begun: the token allows none. */
  end() {
    this.#dialog.close();
  }

  /** The sale as it is now: other actions are offered when it changes. */
  update(about, now) {
    this.#about = about;
    this.#now = now;
    const box = by('action-buttons');
    const actions = offered(now.sale);
    const had = document.activeElement?.dataset?.action;
    fill(box, actions, () => {
      const button = make('button');
      button.type = 'button';
      button.addEventListener('click', () => this.#open(button.dataset.action));
      return button;
    }, (button, action) => {
      mark(button, 'data-action', action);
      mark(button, 'class', action === 'close' ? 'danger' : null);
      setText(button, `${NAMES[action]}…`);
    });
    // The focused button may be replaced, as pause by resume: keep the focus in place.
    if (had && !document.activeElement?.dataset?.action && !this.#dialog.open) box.firstElementChild?.focus();
  }

  #word() {
    return this.#action === 'limits' ? 'limits' : this.#sale;
  }

  /** The record of user and reason. */
  #log() {
    return this.#action === 'limits' ? 'limits’ log, not into a journal' : 'journal';
  }

  #open(action) {
    this.#action = action;
    this.#sale = this.#about?.sale ?? '';
    this.#isDone = false;
    setText(by('action-title'), action === 'limits' ? 'Limits of all gateways' : `${NAMES[action]}: ${this.#about.name}`);
    const effect = this.#about?.actions.find((effect) => effect.action === action)?.effect;
    setText(by('action-effect'), effect ?? 'This gateway has no description of the effect.');
    by('action-reason').value = '';
    by('action-typed').value = '';
    setText(by('action-word'), this.#word());
    setText(by('action-why'), `Reason (it goes into the ${this.#log()})`);
    setText(by('action-go'), NAMES[action]);
    setText(by('action-cancel'), 'Cancel');
    this.#showResult('', '');
    this.#fields();
    this.#check();
    this.#dialog.showModal();
  }

  #fields() {
    const box = by('action-fields');
    box.replaceChildren();
    if (this.#action === 'restock') {
      const select = make('select');
      const totals = this.#about.items.map(({ item, name }, at) => [item, name, this.#now.sale.items[at]?.total ?? null]);
      for (const [item, name, total] of totals.filter(([, , total]) => total !== null)) {
        const option = make('option', '', `${name} (now ${count(total)})`);
        option.value = item;
        select.append(option);
      }
      const [was, total] = [numberInput(), numberInput()];
      was.readOnly = true;
      const meaning = make('p', 'quiet');
      const choose = () => {
        was.value = totals.find(([item]) => item === select.value)?.[2] ?? '';
        setText(meaning, meaningOf(was.value, total.value));
      };
      select.addEventListener('change', choose);
      total.addEventListener('input', choose);
      choose();
      box.append(...field('restock-item', 'What', select), ...field('restock-was', 'Present total', was), ...field('restock-total', 'New total', total), meaning);
    } else if (this.#action === 'limits') {
      this.#showResult('', 'Reading the limits…');
      this.#call('GET', '/admin/v1/limits').then((answer) => {
        if (this.#action !== 'limits' || !this.#dialog.open) return;
        if (!answer.ok) return this.#showResult('bad', answer.text);
        this.#showResult('', '');
        for (const limit of answer.json.policies) {
          const { policy, configured, set, in_force: inForce } = limit;
          const [input, meaning] = [make('input'), make('p', 'quiet')];
          Object.assign(input, {
            type: 'text', autocomplete: 'off', spellcheck: false, name: policy, placeholder: 'unchanged',
            pattern: 'off|default|[1-9][0-9]{0,8}:[1-9][0-9]{0,8}', title: 'RATE:BURST, off, or default; empty: unchanged',
          });
          const describe = () => {
            const typed = input.value.trim();
            const means = typed ? rateMeaning(limit, typed) : `unchanged: ${rateMeaning(limit, set ?? configured)}`;
            setText(meaning, means ?? 'expected RATE:BURST, two numbers from 1 to 100,000,000, or off, or default');
          };
          input.addEventListener('input', describe);
          describe();
          meaning.id = `limit-${policy}-means`;
          input.setAttribute('aria-describedby', meaning.id);
          // Of a ceiling, this gateway's share is in force here.
          const note = `${policy}: in force here ${inForce}, ${set === null ? 'as configured' : `set to ${set}, configured ${configured}`}`;
          box.append(...field(`limit-${policy}`, note, input), meaning);
        }
        this.#check();
      });
    }
  }

  #changes() {
    const inputs = [...by('action-fields').querySelectorAll('input[name]')].filter((input) => input.value.trim() !== '');
    return Object.fromEntries(inputs.map((input) => [input.name, input.value.trim() === 'default' ? null : input.value.trim()]));
  }

  #check() {
    const isTyped = by('action-typed').value.trim() === this.#word();
    const hasReason = by('action-reason').value.trim() !== '';
    const fits = [...by('action-fields').querySelectorAll('input, select')].every((input) => input.checkValidity());
    const changes = this.#action !== 'limits' || Object.keys(this.#changes()).length > 0;
    by('action-go').disabled = this.#isBusy || this.#isDone || !(isTyped && hasReason && fits && changes);
  }

  #showResult(tone, text) {
    mark(by('action-result'), 'data-tone', tone || null);
    setText(by('action-result'), text);
  }

  async #perform() {
    if (by('action-go').disabled) return;
    const reason = by('action-reason').value.trim();
    const path = `/admin/v1/sales/${encodeURIComponent(this.#sale)}/${this.#action}`;
    this.#isBusy = true;
    this.#check();
    this.#showResult('', 'Asking the gateway…');
    let answer;
    if (this.#action === 'limits') {
      answer = await this.#call('PATCH', '/admin/v1/limits', { ...this.#changes(), reason });
    } else if (this.#action === 'restock') {
      const [item, was, total] = ['item', 'was', 'total'].map((name) => by(`restock-${name}`).value);
      answer = await this.#call('POST', path, { item, was: Number(was), total: Number(total), reason });
    } else {
      answer = await this.#call('POST', path, { reason });
    }
    this.#isBusy = false;
    this.#isDone = answer.ok;
    this.#showResult(answer.ok ? 'good' : 'bad', answer.ok ? this.#done(answer.json) : answer.text);
    this.#check();
    if (answer.ok) {
      setText(by('action-cancel'), 'Done');
      by('action-cancel').focus();
    }
  }

  #done(json) {
    if (this.#action === 'restock') return `Done: the total of ${json.item} is ${count(json.total)}, ${count(json.free)} of them free.`;
    if (this.#action === 'limits') return `Done: ${json.policies.map(({ policy, in_force: inForce }) => `${policy} ${inForce}`).join(', ')} in force here.`;
    return DONE[this.#action];
  }

  async #call(method, path, body) {
    try {
      const answer = await fetch(path, {
        method,
        headers: { authorization: `Bearer ${this.token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
        body: body ? JSON.stringify(body) : undefined,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (answer.ok) return { ok: true, json: await answer.json() };
      const problem = await problemOf(answer);
      return { ok: false, text: problem ? `${problem.title}. ${problem.detail}` : `The gateway answered ${answer.status}.` };
    } catch {
      if (method === 'GET') return { ok: false, text: 'No answer from the gateway.' };
      // It may have been done; only the record shows it.
      const where = this.#action === 'limits' ? 'the limits in force' : 'the journal';
      return { ok: false, text: `No answer: the outcome is unknown. Check ${where}; repeating the action is harmless.` };
    }
  }
}
