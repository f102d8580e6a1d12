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
    "headers, trimmed": ("{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}", "<s>", "<|eot_id|>"),
    "names, capitalized": ("{% for message in messages %}{% set content = message['role'] | capitalize + ': ' + message['content'].strip() + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}", "<s>", "<|eot_id|>"),
    "system inside the first user message": ("""{%- if messages[0]['role'] == 'system' %}
    {%- set loop_messages = messages[1:] %}
    {%- set system_message = messages[0]['content'] %}
{%- else %}
    {%- set loop_messages = messages %}
    {%- set system_message = false %}
{%- endif %}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if loop.index0 == 0 and system_message != false %}
        {%- set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {%- else %}
        {%- set content = message['content'] %}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- bos_token + '[INST] ' + content + ' [/INST]' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' '  + content + ' ' + eos_token }}
    {%- endif %}
{%- endfor %}""", "<s>", "</s>"),
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
