"""From argv, the environment and a YAML file to one frozen `Config`.

One `table` of rows (`option`) drives the flags (`flags`), the variables, the YAML keys
(`config_file`, `yaml_document`), `--help` (`help_text`) and docs/configuration.md (`docs`).
`values` and `urls` hold Go's rules for what values look like; `settings` collects what was given,
`validation` checks it in etcd's order, `config` is the outcome and `load` the way there.
"""

from server.notice import Exit, Notice
from server.options.config import Config
from server.options.load import Loaded, load

__all__ = ["Config", "Exit", "Loaded", "Notice", "load"]
