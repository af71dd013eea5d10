"""Things to say in many languages, made from little: a passage's words drawn anew, made-up words, and numbers.

The passage is article 1 of the Universal Declaration of Human Rights (United Nations, public domain).
"""

from __future__ import annotations

import random

PASSAGES = {
    "en-us": "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und "
    "Gewissen begabt und sollen einander im Geiste der Brüderlichkeit begegnen.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de "
    "raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de "
    "razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di "
    "ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de "
    "consciência, devem agir uns para com os outros em espírito de fraternidade.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met "
    "verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med förnuft och "
    "samvete och bör handla gentemot varandra i en anda av broderskap.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni "
    "rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены разумом и "
    "совестью и должны поступать в отношении друг друга в духе братства.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve "
    "birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu "
    "järki ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعليهم أن يعامل "
    "بعضهم بعضاً بروح الإخاء.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "cmn": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "id": "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama. Mereka dikaruniai "
    "akal dan hati nurani dan hendaknya bergaul satu sama lain dalam semangat persaudaraan.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "sw": "Watu wote wamezaliwa huru, hadhi na haki zao ni sawa. Wote wamejaliwa akili na dhamiri.",
}
"""espeak-ng voice -> text."""
COUNTING = ("ca", "cs", "da", "el", "fa", "he", "hu", "ja", "ro", "ta", "th", "uk", "bn", "hr", "is", "ka", "yue", "ur")
"""Voices that only count: espeak-ng reads digits in every language."""
LANGUAGES = (*PASSAGES, *COUNTING)
_UNSPACED = ("cmn", "yue", "ja", "th")


def passage(language: str, rng: random.Random) -> str:
    """One thing to say, a few seconds: numbers, words of the passage in another order, or words made of its letters."""
    draw = rng.random()
    text = PASSAGES.get(language)
    if text is None or draw < 0.2:
        return " ".join(str(rng.randrange(10 ** rng.randint(1, 4))) for _ in range(rng.randint(1, 4)))
    words = list(text) if language in _UNSPACED else text.replace(",", "").replace(".", "").split()
    count = rng.randint(3, 9)
    if draw < 0.5:
        first = rng.randrange(max(1, len(words) - count))
        chosen = words[first : first + count]
    elif draw < 0.65 or language in _UNSPACED:
        chosen = [rng.choice(words) for _ in range(count)]
    else:
        chosen = [_made_up(words, rng) for _ in range(count)]
    if count > 5 and rng.random() < 0.4:
        chosen[count // 2] += ","
    return ("" if language in _UNSPACED else " ").join(chosen)


def _made_up(words: list[str], rng: random.Random) -> str:
    """A word whose every three letters stand somewhere in the passage."""
    text = " " + " ".join(words).lower() + " "
    made = " " + rng.choice(words).lower()[:1]
    while not made.endswith(" ") and len(made) < 10:
        following = [text[i + 2] for i in range(len(text) - 2) if text.startswith(made[-2:], i)]
        made += rng.choice(following) if following else " "
    return made.strip()
