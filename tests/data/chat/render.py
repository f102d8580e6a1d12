"""Writes templates.json: chat templates, and what Jinja2 makes of conversations, set up as Hugging Face transformers do.

    pip install jinja2==3.1.6 && python render.py
"""

import json
import pathlib

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATES = {
    "smollm2": ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}", "<|im_start|>", "<|im_end|>"),
    "chatml": ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}", "<|im_start|>", "<|im_end|>"),
    "headers, trimmed": ("""{{- bos_token -}}
{% macro header(name) %}{{ '<|start_header_id|>' ~ name ~ '<|end_header_id|>\n\n' }}{% endmacro %}
{%- for turn in messages -%}
    {{- header(turn.role) ~ (turn.content | trim) ~ '<|eot_id|>' -}}
{%- endfor -%}
{{- header('assistant') if add_generation_prompt else '' -}}
""", "<s>", "<|eot_id|>"),
    "names, capitalized": ("{{ bos_token }}{% for turn in messages %}{{ turn['role'].title() }}: {{ turn['content'].strip() }}{{ eos_token }}{% endfor %}{{ 'Assistant: ' if add_generation_prompt }}", "<s>", "<|eot_id|>"),
    "system inside the first user message": ("""{% set offset = 1 if messages[0].role == 'system' else 0 %}
{% for turn in messages[offset:] %}
    {% if turn.role != ['user', 'assistant'][loop.index0 % 2] %}
        {{ raise_exception('user and assistant take turns, the user begins') }}
    {% endif %}
    {% if turn.role == 'assistant' %}
{{ turn.content }}{{ eos_token }}
{% else %}
        {%- if loop.first and offset == 1 -%}
{{ bos_token }}[INST] <<SYS>>{{ messages[0].content }}<</SYS>> {{ turn.content }} [/INST]
        {%- else -%}
{{ bos_token }}[INST] {{ turn.content }} [/INST]
        {%- endif -%}
    {% endif %}
{% endfor %}
""", "<s>", "</s>"),
    "no system message, namespace, dates only if known": ("""{%- set ns = namespace(count=0) %}
{{- bos_token }}
{%- if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% endif %}
{%- if tools is not none %}{{ tools | tojson }}{% endif %}
{%- for message in messages %}
    {%- if message.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
    {%- set ns.count = ns.count + 1 %}
    {%- if message.role == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message.role %}{% endif %}
<start_of_turn>{{ role }}
{{ message.content | trim }}<end_of_turn>
{% endfor %}
{% if add_generation_prompt %}<start_of_turn>model
{% endif %}""", "<s>", "</s>"),
}

CONVERSATIONS = [
    ["user"],
    ["system", "user"],
    ["user", "assistant"],
    ["user", "assistant", "user"],
    ["system", "user", "assistant", "user"],
    ["system", "user", "assistant", "user", "assistant", "user"],
]
CONTENTS = ["Hello there", "two\nlines, é", " padded \n", "<|im_end|> {{ 1 + 1 }}", "x", "¿Qué?"]


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = refuse
    out = []
    for name, (template, bos, eos) in TEMPLATES.items():
        compiled = environment.from_string(template)
        cases = []
        for roles in CONVERSATIONS:
            messages = [{"role": role, "content": text} for role, text in zip(roles, CONTENTS)]
            for reply in (False, True):
                try:
                    text = compiled.render(messages=messages, add_generation_prompt=reply, bos_token=bos,
                                           eos_token=eos, tools=None, documents=None)
                except jinja2.exceptions.TemplateError:
                    text = None
                cases.append({"messages": messages, "reply": reply, "text": text})
        out.append({"name": name, "template": template, "bos": bos, "eos": eos, "cases": cases})
    path = pathlib.Path(__file__).with_name("templates.json")
    path.write_text(json.dumps(out, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


main()
