"""Names of customers as a shop in China has them: half Chinese, half Latin, a few surnames very common."""

from __future__ import annotations

import random

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀兰霞平刚桂英华玉红建文辉力鑫宇浩然子轩雨欣梓涵思远佳怡嘉豪一诺"
_LATIN_SURNAMES = (
    "Wang Li Zhang Liu Chen Smith Johnson Garcia Müller Schmidt Ivanov Rossi Dubois Tanaka Kim Nguyen Silva"
)
_LATIN_GIVEN = (
    "Anna Ben Carla David Elena Felix Grace Hugo Ines Jonas Karin Liam Maria Nils Olga Paul Quinn Rosa Tara Uwe"
)


def names(count: int, chance: random.Random) -> list[str]:
    """Return so many names."""
    return [_chinese(chance) if number % 2 else _latin(chance) for number in range(count)]


def _chinese(chance: random.Random) -> str:
    weights = [1 / (place + 1) for place in range(len(_SURNAMES))]
    return chance.choices(_SURNAMES, weights)[0] + "".join(chance.choices(_GIVEN, k=chance.randint(1, 2)))


def _latin(chance: random.Random) -> str:
    return f"{chance.choice(_LATIN_GIVEN.split())} {chance.choice(_LATIN_SURNAMES.split())}"


def part(name: str, chance: random.Random) -> str:
    """Return what a person types of a name."""
    length = min(len(name), chance.randint(1, 3) if name[0] in _SURNAMES else chance.randint(3, 6))
    start = chance.randint(0, len(name) - length)
    return name[start : start + length].strip() or name
