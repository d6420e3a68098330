// The levers: what each does to buyers is said first, in the server's words; then a reason and a typed word are asked for;
// then the admin API is called, and what it answers is told.

import { by, fill, make, mark, say } from './dom.js';
import { count } from './numbers.js';
import { problemOf } from './stream.js';

/** Until an answer is given up. */
const PATIENCE_MS = 15000;

/** Which levers there are at a state of the sale, and how they are called. */
function offered(sale) {
  if (!sale) return ['limits'];
  if (sale.phase === 'closed') return [sale.frozen ? 'unfreeze' : 'freeze', 'limits'];
  return [sale.paused ? 'resume' : 'pause', sale.frozen ? 'unfreeze' : 'freeze', 'restock', 'limits', 'close'];
}

const NAMES = {
  pause: 'Pause', resume: 'Resume', freeze: 'Freeze the clock', unfreeze: 'Unfreeze the clock', restock: 'Restock', limits: 'Limits',
  close: 'Close for good',
};
const DONE = {
  pause: 'Paused: new reservations are refused.',
  resume: 'Resumed: new reservations are taken.',
  freeze: 'Frozen: no hold expires.',
  unfreeze: 'Unfrozen: deadlines go on.',
  close: 'Closed for good.',
};

function field(id, text, input) {
  const label = make('label', '', text);
  label.htmlFor = id;
  input.id = id;
  return [label, input];
}

function numberInput(min = 0) {
  const input = make('input');
  Object.assign(input, { type: 'number', min: String(min), max: '1000000000', step: '1', required: true, inputMode: 'numeric' });
  return input;
}

export class Levers {
  /** The ops token: in memory only. */
  token = '';
  #about = null;
  #now = null;
  #lever = '';
  #dialog = by('lever');
  #isBusy = false;
  #isDone = false;

  constructor() {
    by('lever-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#pull();
    });
    by('lever-form').addEventListener('input', () => this.#check());
    by('lever-cancel').addEventListener('click', () => this.#dialog.close());
  }

  /** The sale as it is now: other levers are offered when it changes. */
  update(about, now) {
    this.#about = about;
    this.#now = now;
    const box = by('lever-buttons');
    const levers = offered(now.sale);
    const had = document.activeElement?.dataset?.lever;
    fill(box, levers, () => {
      const button = make('button');
      button.type = 'button';
      button.addEventListener('click', () => this.#open(button.dataset.lever));
      return button;
    }, (button, lever) => {
      mark(button, 'data-lever', lever);
      mark(button, 'class', lever === 'close' ? 'danger' : null);
      say(button, `${NAMES[lever]}…`);
    });
    // Pause became resume under the finger: it stays there.
    if (had && !document.activeElement?.dataset?.lever && !this.#dialog.open) box.firstElementChild?.focus();
  }

  #word() {
    return this.#lever === 'limits' ? 'limits' : this.#about.sale;
  }

  /** Where who and why is written down. */
  #log() {
    return this.#lever === 'limits' ? 'limits’ log, not into a journal' : 'journal';
  }

  #open(lever) {
    this.#lever = lever;
    this.#isDone = false;
    say(by('lever-title'), lever === 'limits' ? 'Limits of all gateways' : `${NAMES[lever]}: ${this.#about.name}`);
    const effect = this.#about?.actions.find((known) => known.action === lever)?.effect;
    say(by('lever-effect'), effect ?? 'This gateway does not say what it does.');
    by('lever-reason').value = '';
    by('lever-typed').value = '';
    say(by('lever-word'), this.#word());
    say(by('lever-why'), `Why (it goes into the ${this.#log()})`);
    say(by('lever-go'), NAMES[lever]);
    say(by('lever-cancel'), 'Cancel');
    this.#tell('', '');
    this.#fields();
    this.#check();
    this.#dialog.showModal();
  }

  #fields() {
    const box = by('lever-fields');
    box.replaceChildren();
    if (this.#lever === 'restock') {
      const select = make('select');
      const totals = this.#about.items.map(({ item, name }, at) => [item, name, this.#now.sale.items[at]?.total ?? null]);
      for (const [item, name, total] of totals.filter(([, , total]) => total !== null)) {
        const option = make('option', '', `${name} (now ${count(total)})`);
        option.value = item;
        select.append(option);
      }
      const [was, total] = [numberInput(), numberInput()];
      was.readOnly = true;
      const choose = () => { was.value = totals.find(([item]) => item === select.value)?.[2] ?? ''; };
      select.addEventListener('change', choose);
      choose();
      box.append(...field('restock-item', 'What', select), ...field('restock-was', 'Total that it has', was), ...field('restock-total', 'Total that it shall have', total));
    } else if (this.#lever === 'limits') {
      this.#tell('', 'Reading the limits…');
      this.#call('GET', '/admin/v1/limits').then((answer) => {
        if (this.#lever !== 'limits' || !this.#dialog.open) return;
        if (!answer.ok) return this.#tell('bad', answer.text);
        this.#tell('', '');
        for (const { policy, configured, set, in_force: inForce } of answer.json.policies) {
          const input = make('input');
          Object.assign(input, {
            type: 'text', autocomplete: 'off', spellcheck: false, name: policy, placeholder: 'as it is',
            pattern: 'off|default|[1-9][0-9]{0,8}:[1-9][0-9]{0,8}', title: 'RATE:BURST, off, or default; empty: as it is',
          });
          const note = `${policy}: in force ${inForce}, ${set === null ? 'as configured' : `set to ${set}, configured ${configured}`}`;
          box.append(...field(`limit-${policy}`, note, input));
        }
        box.append(make('p', 'quiet', 'RATE:BURST in units a second and at once, off, or default; what is left empty stays.'));
        this.#check();
      });
    }
  }

  #changes() {
    const inputs = [...by('lever-fields').querySelectorAll('input[name]')].filter((input) => input.value.trim() !== '');
    return Object.fromEntries(inputs.map((input) => [input.name, input.value.trim() === 'default' ? null : input.value.trim()]));
  }

  #check() {
    const isTyped = by('lever-typed').value.trim() === this.#word();
    const hasReason = by('lever-reason').value.trim() !== '';
    const fits = [...by('lever-fields').querySelectorAll('input, select')].every((input) => input.checkValidity());
    const changes = this.#lever !== 'limits' || Object.keys(this.#changes()).length > 0;
    by('lever-go').disabled = this.#isBusy || this.#isDone || !(isTyped && hasReason && fits && changes);
  }

  #tell(tone, text) {
    mark(by('lever-told'), 'data-tone', tone || null);
    say(by('lever-told'), text);
  }

  async #pull() {
    if (by('lever-go').disabled) return;
    const reason = by('lever-reason').value.trim();
    const path = `/admin/v1/sales/${encodeURIComponent(this.#about?.sale ?? '')}/${this.#lever}`;
    this.#isBusy = true;
    this.#check();
    this.#tell('', 'Asking the gateway…');
    let answer;
    if (this.#lever === 'limits') {
      answer = await this.#call('PATCH', '/admin/v1/limits', { ...this.#changes(), reason });
    } else if (this.#lever === 'restock') {
      const [item, was, total] = ['item', 'was', 'total'].map((name) => by(`restock-${name}`).value);
      answer = await this.#call('POST', path, { item, was: Number(was), total: Number(total), reason });
    } else {
      answer = await this.#call('POST', path, { reason });
    }
    this.#isBusy = false;
    this.#isDone = answer.ok;
    this.#tell(answer.ok ? 'good' : 'bad', answer.ok ? this.#done(answer.json) : answer.text);
    this.#check();
    if (answer.ok) {
      say(by('lever-cancel'), 'Done');
      by('lever-cancel').focus();
    }
  }

  #done(json) {
    if (this.#lever === 'restock') return `Done: the total of ${json.item} is ${count(json.total)}, ${count(json.free)} of them free.`;
    if (this.#lever === 'limits') return `Done: ${json.policies.map(({ policy, in_force: inForce }) => `${policy} ${inForce}`).join(', ')} in force here.`;
    return DONE[this.#lever];
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
      // It may have been done. Only what is written down knows.
      const where = this.#lever === 'limits' ? 'what limits are set' : 'the journal';
      return { ok: false, text: `No answer: whether it was done is not known. Look at ${where} before you try again; trying again is harmless.` };
    }
  }
}
