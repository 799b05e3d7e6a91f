"""Texts that the benches read: prose written here, and a piece of the standard library."""

from __future__ import annotations

import inspect
import textwrap

ENGLISH = (
    "The lighthouse keeper's daughter had counted 1,204 ships since the spring, and she'd "
    "written each of them down in a ledger with a blue cover. Some came in at dawn, when the "
    "water was flat and grey; others slipped past at night, and of those she knew only the "
    'sound. "It isn\'t the number that matters," her father used to say, "it\'s that somebody '
    'is watching." On the last day of October a fog came down so thick that the lamp seemed '
    "to end a few feet from the glass, and for the first time in her life she heard a ship "
    "before she could hope to see it."
)

PYTHON = inspect.getsource(textwrap.TextWrapper._wrap_chunks)[600:1400]  # noqa: SLF001

CHINESE = (
    "清晨的雾气还没有散去,老人已经坐在河边的石头上等鱼上钩。他每天都来,不管刮风还是下雨。"
    "村里的孩子们喜欢围着他,听他讲从前的故事:一九七八年的大水怎样漫过了桥,又怎样在一夜之间退去。"
    "有人问他为什么总是放走最大的那条鱼,他笑着说:“河是大家的,明年还要见面。”"
    "太阳升起来以后,水面上像撒了一层碎金子,远处传来了火车的声音。"
)

RUSSIAN = (
    "Почтальон приходил в деревню по вторникам, и к его приходу у колодца собирались все, кто ждал "
    "письма. Старая Анна не ждала ничего уже двенадцать лет, но приходила тоже: «Вдруг кто-нибудь "
    "ошибётся адресом», — говорила она и смеялась. В тот день, 3 марта, мешок был почти пуст."
)

TEXTS = {"English": ENGLISH, "Python": PYTHON, "Chinese": CHINESE}

_MORE_ENGLISH = (
    " The ship did not sound again. She took the lantern down the iron stairs, one hand on the "
    "rail, and stood at the water's edge with her ledger under her arm, listening. Nothing moved. "
    "Then, slowly, a hull came out of the white, so near that she could have thrown a stone onto "
    "its deck: no lights, no flag, and nobody at the wheel. She wrote the number 1,205 and, after "
    "some thought, left the column for the name empty. In the morning her father read the page "
    "twice, closed the book, and said that they would keep it between themselves for now."
)

_MORE_CHINESE = (
    "中午的时候,孙女提着饭盒来找他,饭盒里是米饭、青菜和两块豆腐。她今年十二岁,在镇上的小学读六年级,"
    "每个星期五下午走五公里的山路回家。“爷爷,老师说将来我可以去城里读书,”她说,“可是城里没有这样的河。”"
    "老人想了想,把鱼竿递给她:“河会流到城里去的,你在那边也看得到它,只是宽一些,慢一些。”"
    "女孩不太相信,但是她记住了这句话,很多年以后还常常想起来。"
    "那天傍晚下了一场小雨,他们共撑一把伞,沿着河堤慢慢走回家去。"
)

# At least 1,000 bytes of each, for questions about texts and not about calls.
LONG_TEXTS = {
    "English": ENGLISH + _MORE_ENGLISH,
    "Python": inspect.getsource(textwrap.TextWrapper._wrap_chunks),  # noqa: SLF001
    "Chinese": CHINESE + _MORE_CHINESE,
}

# Other texts of the same kinds, to choose weights on: what is chosen here is reported elsewhere.
CHOICE_TEXTS = {
    "English": (
        "The baker on Mill Street opens at half past five, but the light in the back room is on "
        "long before that. For forty years he has mixed the dough by hand, and when the machine "
        "was delivered last March he looked at it for a whole week before he plugged it in. \"It's "
        'quick," he admits, "but it doesn\'t listen." His customers claim that they cannot taste '
        "the difference. He can, he says, and so can the two apprentices, who get up at 3:15 and "
        "would rather sleep. On Saturdays there is a queue around the corner, and nobody in it "
        "seems to be in a hurry."
    ),
    "Python": inspect.getsource(textwrap.TextWrapper._handle_long_word)[:600],  # noqa: SLF001
    "Chinese": (
        "小镇的邮局只有一间屋子,门口的绿色信箱已经掉了漆。老邮递员姓周,骑一辆旧自行车,每天要走三十多公里。"
        "冬天路上结冰的时候,他就推着车走,信和报纸用塑料布包好,一封也没有湿过。"
        "去年,镇上通了快递,年轻人都在手机上买东西,写信的人越来越少。"
        "可是周师傅说,只要还有一个人在等信,他就会再骑一年。"
    ),
}
