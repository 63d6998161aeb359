"""The forms of secrets: tokens, keys, passwords in addresses and headers.

As in the scanner gitleaks, a rule is words of which a text must contain one, which is quick to ask, and a pattern.
The rules stand here because no Python package fits: the newest release of detect-secrets, 1.5.0, is of 2024, knows no
token of Hugging Face, and finds those of npm only in one line of one file.
"""

import re
from collections.abc import Iterator

_RULES: dict[str, tuple[str, str]] = {
    "Hugging Face token": ("hf_ api_org_", r"x?(?:hf|api_org)_[A-Za-z0-9]{16,}"),
    "Hugging Face OAuth token": ("hf_oauth_ hf_jwt_", r"hf_(?:oauth|jwt)_(?:[\w-]*\.)*[\w-]*[A-Za-z0-9]{16,}"),
    "GitHub token": ("gh", r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"),
    "GitLab token": ("gl gr1348941", r"gl(?:[a-z]{2,5})-[\w-]{16,}|GR1348941[\w-]{16,}"),
    "Bitbucket or Atlassian token": ("at bb", r"(?:ATATT3|ATCTT3|ATBB)[\w=-]{16,}"),
    "Slack token": ("xox xapp", r"xox[a-z](?:\.xox[a-z])?-[\w-]{8,}|xapp-\d-[\w-]{8,}"),
    "address of a chat webhook": ("hook", r"hooks\.slack\.com/(?:services|workflows)/[\w/-]{8,}"
                                  r"|discord(?:app)?\.com/api/webhooks/\d+/[\w-]{8,}"),
    "npm token": ("npm_ _auth", r"npm_[A-Za-z0-9]{16,}|_auth(?:Token)?\s*=\s*[^\s$]{8,}"),
    "PyPI token": ("pypi-", r"pypi-(?:AgE[\w-]{10,}|\w{40,}|(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{16,})"),
    "package registry token": ("rubygems_ oy2 cio clojars_", r"rubygems_[a-f0-9]{32,}|oy2[a-z0-9]{43}"
                               r"|cio[A-Za-z0-9]{32}|CLOJARS_[a-z0-9]{40,}"),
    "Docker token": ("dckr_", r"dckr_(?:pat|oat)_[\w-]{16,}"),
    "JSON web token": ("eyj", r"eyJ[\w-]{8,}\.[\w-]{8,}\.?[\w-]*"),
    "AWS key": ("akia asia abia acca absk", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|ABSK[A-Za-z0-9+/]{60,}"),
    "Google key": ("aiza ya29 gocspx 1//0", r"AIza[\w-]{30,}|ya29\.[\w-]{16,}|GOCSPX-[\w-]{16,}|1//0[\w-]{30,}"),
    "Azure key": ("azdo q~ accountkey sharedaccess sig=", r"[A-Za-z0-9]{70,}AZDO[A-Za-z0-9]{4}"
                  r"|[\w~.-]{3}\dQ~[\w~.-]{30,}|AccountKey=[A-Za-z0-9+/]{16,}"
                  r"|SharedAccess(?:Key|Signature)\s*=?[^\s;]{16,}|(?<=[?&])sig=[\w%+/-]{16,}"),
    "key of a model provider": ("sk- gsk_ xai- pplx- r8_ fw_ csk- nvapi- tgp_ jina_ esecret_ vck_ lsv2_ "
                                "rpa_ ak- as- rf_ secret_",
                                r"sk-(?:[a-z]+-){0,3}[\w-]{20,}|(?:gsk|fw|r8|jina|esecret|vck)_\w{20,}|lsv2_\w{20,}"
                                r"|(?:xai|pplx|csk|nvapi)-[\w-]{20,}|tgp_v1_[\w-]{20,}|rpa_[A-Z0-9a-z]{30,}"
                                r"|secret_[\w-]+_[a-f0-9]{32}\.[A-Za-z0-9]{20,}|rf_(?=[A-Za-z]*\d)[A-Za-z0-9]{20,}"
                                r"|a[ks]-(?=[A-Za-z]*\d)(?=[A-Za-z0-9]*[A-Z])[A-Za-z0-9]{22}(?!\w)"),
    "Weights & Biases key": ("wandb", r"wandb_v\d_[\w-]{16,}|(?i:wandb)\S{0,24}?[\s=:\"']+[a-f0-9]{40}"),
    "Kaggle key": ("kgat_ \"key\"", r"KGAT_[a-f0-9]{16,}"
                   r"|\"username\"\s*:\s*\"[^\"]+\"\s*,\s*\"key\"\s*:\s*\"[a-f0-9]{32}\""),
    "Databricks token": ("dapi", r"dapi[a-f0-9]{32}"),
    "payment key": ("k_live_ k_test_ whsec_ sq0 shp eaaa", r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,}"
                    r"|whsec_[A-Za-z0-9+/]{16,}"
                    r"|sq0[a-z]{3}-[\w-]{20,}|shp(?:at|ss|ca|pa)_[a-fA-F0-9]{20,}"
                    r"|EAAA(?=[\w-]*\d)[\w-]{60}(?![\w+/=-])"),
    "mail key": ("sg. key- xkeysib -us", r"SG\.[\w-]{16,}\.[\w-]{16,}|key-[a-f0-9]{32}|xkeysib-[a-f0-9]{32,}[\w-]*"
                 r"|[a-f0-9]{32}-us\d{1,2}"),
    "Twilio key": ("sk ac", r"(?:SK|AC)[a-f0-9]{32}"),
    "chat bot token": (":aa m n", r"\d{8,10}:AA[\w-]{30,}|[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}"),
    "token of a hosting service": (
        "pul- atlasv1 do o_v1_ nfp_ sbp_ sb_secret_ dp. hrku- vercel_ rnd_ fo1_ railway_ ls__ cfut_ cfat_ v1.0-",
        r"do[opr]_v1_[a-f0-9]{32,}|nfp_\w{20,}|sbp_[a-f0-9]{32,}|sb_secret_[\w-]{16,}|dp\.(?:pt|st|ct|sa)\.[\w.-]{16,}"
        r"|HRKU-[\w-]{20,}|vercel_\w{20,}|rnd_[A-Za-z0-9]{24,}|fo1_[\w-]{40,}|cf[ua]t_\w{30,}"
        r"|v1\.0-[a-f0-9]{24}-[a-f0-9]{100,}|pul-[a-f0-9]{40}|[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}",
    ),
    "token of a work tool": (
        "ntn_ secret_ lin_api_ pmak- nrak- glc_ glsa_ sntry hvs. hvb. pat figd_ phc_ phx_ ops_ a3- tskey- age-secret-",
        r"ntn_\w{20,}|secret_[A-Za-z0-9]{40,}|lin_api_\w{20,}|PMAK-[\w-]{20,}|NRAK-[A-Z0-9]{20,}|gl(?:c|sa)_[\w+/=]{20,}"
        r"|sntry[su]_[\w+/=.-]{20,}|hv[sb]\.[\w-]{20,}|pat[A-Za-z0-9]{14}\.[a-f0-9]{32,}|figd_[\w-]{20,}|ph[cx]_\w{30,}"
        r"|ops_eyJ[\w+/=-]{40,}|A3-[A-Z0-9]{6}(?:-[A-Z0-9]{5,11}){4,5}|tskey-[\w-]{16,}|AGE-SECRET-KEY-1[A-Z0-9]{30,}",
    ),
    "private key": ("private putty-user-key-file \"kty\"",
                    r"-{4,5} ?BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)? ?-{4,5}"
                    r"|\"(?:kty\"[^{}]{0,4000}\"d\"|d\"(?=[^{}]{0,4000}\"kty\"))\s*:\s*\"[\w-]{20,}"
                    r"|PuTTY-User-Key-File-\d"),
    "password in an address": ("://", r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"'<>`]*:[^\s/@\"'<>`]+@[\w\[]"),
    "token in an address": ("token= key= signature= x-amz- x-goog- secret= password=",
                            r"(?<=[?&])(?:[\w-]*(?:token|key|secret|signature|password)|X-(?:Amz|Goog)-(?:Signature|Credential))"
                            r"=[\w%.+/~-]{16,}"),
    "authorization header": ("authorization bearer cookie", r"(?i:(?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?"
                             r"(?:(?:bearer|token|digest|negotiate|apikey|aws4-hmac-sha256)\s+)?)[\w.~+/=-]{16,}"
                             r"|(?i:authorization[\"']?\s*[:=]\s*[\"']?basic)\s+[\w+/]{6,}={0,2}"
                             r"|(?i:bearer)\s+(?:[\w.~+/-]{20,}|(?=[\w.~+/-]{0,15}\d)[\w.~+/-]{16,})|(?i:cookie):\s*\w+=[\w.%-]{16,}"),
    "password or key after its name": (
        "password passwd secret api_key apikey api-key access_key access-key accesskey auth_token private_key "
        "access_token token credential login",
        r"(?i:[\w-]*(?:passw(?:or)?d|passphrase)[\w-]*)[\"']?\s*(?:=>|[:=])\s*[\"']?(?=[^\s\"',;]*\d)[^\s\"',;$<{*]{6,}"
        r"|(?i:[\w-]*(?:secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|private[_-]?key|credential)[\w-]*)"
        r"[\"']?\s*(?:=>|[:=])\s*[\"']?(?=[\w+/=.~-]*\d)(?=[\w+/=.~-]*[A-Za-z])[\w+/=.~-]{16,}"
        r"|(?i:machine\s+\S+\s+login\s+\S+\s+password\s+)\S+"
        r"|(?i:\"[\w-]*passw(?:or)?d[\w-]*\"\s*:\s*\"[^\"\s]{6,}\")|[A-Z_]*PASSW(?:OR)?D=[^\s$<{*\"']{6,}"
        r"|(?i:[\w-]*token)[\"']?\s*(?:=>|[:=])\s*[\"']?(?=[\w+/=.~-]*\d)(?=[\w+/=.~-]*[A-Za-z])[\w+/=.~-]{20,}",
    ),
    "password in a command": (
        "curl wget sshpass mysql",
        r"curl\s[^\n]{0,300}?(?<=\s)(?:-u|--user)[ =]?[\"']?[^\s:\"'$<{]+:[^\s\"'$<{]{4,}"
        r"|wget\s[^\n]{0,300}?--password=[^\s$<{]{4,}|sshpass\s+-p\s*[^\s$<{]{4,}"
        r"|mysql\s[^\n]{0,300}?(?<=\s)-p[^\s$<{]{6,}",
    ),
}  # fmt: skip
"""Rules by what they find: words of which a text must contain one, in any case, and the pattern."""
_BEFORE = r"(?<![A-Za-z0-9])"
_COMPILED = {
    name: (tuple(words.split()), re.compile(f"{_BEFORE}(?:{pattern})")) for name, (words, pattern) in _RULES.items()
}


def secrets_in(text: str) -> Iterator[tuple[str, re.Match[str]]]:
    """What kind of secret stands where in a text: the first match of each rule."""
    lower = text.lower()
    for name, (words, pattern) in _COMPILED.items():
        if any(word in lower for word in words) and (hit := pattern.search(text)):
            yield name, hit


def without_secrets(text: str) -> str:
    """The text with stars in place of every secret."""
    for words, pattern in _COMPILED.values():
        if any(word in text.lower() for word in words):
            text = pattern.sub("***", text)
    return text
