"""The labelled set of personal data: invented sentences with their spans marked [[kind|text]], and hard negatives.

Numbers are those that banks and standards publish for tests, or carry check digits of our own making; hosts,
people and keys do not exist. Some positives are known to be missed: they keep the recall honest.
"""

import re

from lmpipe.text.pii import Span

A20 = "b7Kq2ZxR9mTf4VwLs8Ny"
A36 = "q8Rz3KvT5mWp9LxB2nYc7HdF4gJs6QaE1uXo"
A40 = "q8Rz3KvT5mWp9LxB2nYc7HdF4gJs6QaE1uXoPk0i"
"""Letters and digits from which keys are put together, so that no scanner takes this file for a leak."""

POSITIVE = f"""
Write to [[email|anna.berg@example.org]] before Friday.
Contact: [[email|j.o'neil+news@mail.example.co.uk]], or the desk.
邮箱：[[email|zhang_wei88@example.com.cn]]，欢迎来信。
(<[[email|A.B.C@Sub-Domain.example.io]]>)
mailto:[[email|editor@example.press]]?subject=hello
[[email|first@example.com]],[[email|second@example.net]];[[email|third@example.org]]
The address x@y is short, [[email|x@y.zone]] is not.
"[[email|o_1978@example.museum]]" she spelled out.
Sent from [[email|no-reply%bounce@lists.example.edu]].
Bitte an [[email|karl-heinz.mueller@beispiel-firma.de]].
联系[[email|li.na@example.cn]]或者致电。
My e-mail is [[email|77@example.fm]]!
Ask at user [[email|root_user@example.dev]].
Mail the author: [[email|m.chen@cs.example.ac.jp]].
Write anna (at) [[email|example (dot) org]] instead.
Schreiben Sie an [[email|post@münchen-beispiel.de]].

The server answered from [[ip|81.2.69.142]] twice.
Unsigned comment added by [[ip|151.80.34.9]] (talk)
Blocked: [[ip|24.114.40.7]], [[ip|24.114.40.8]] and [[ip|24.114.41.250]].
http://[[ip|93.184.216.34]]:8080/index
登录地址为[[ip|114.114.97.201]]。
from [[ip|2a02:8071:1:5d0::12]] by mail
edit by [[ip|2601:3C6:4200:9D61:9045:1AA6:2043:F9D9]] reverted
[[[ip|2a00:1450:4001:81b::200e]]]:443
Whois [[ip|185.60.216.35]]?
The host ([[ip|62.210.16.62]]) was down.
ping [[ip|2001:41d0:8:e8ad::1]]
Gateway=[[ip|203.119.24.9]]
mapped [[ip|::ffff:81.2.69.142]], NAT64 [[ip|64:ff9b::81.2.69.142]]
at 12:[[ip|81.2.69.142]] or 12:30:[[ip|81.2.69.142]] and [[[ip|0:0:0:0:0:FFFF:81.2.69.142]]]:80

Card [[card|4111 1111 1111 1111]] was declined.
pay with [[card|5555555555554444]] now
Amex: [[card|3782 822463 10005]]
[[card|6011-1111-1111-1117]] (Discover)
JCB [[card|3530111333300000]].
Diners [[card|3056 930902 5904]]
银联卡号[[card|6200000000000005]]。
number [[card|4012888888881881]], expires 12/29
[[card|2223 0031 2200 3222]]
Visa: [[card|4000056655665556]]
Old Visa [[card|4222222222222]] had 13 digits.
Card [[card|3714-496353-98431]]
Dankort [[card|5019717010103742]], Maestro [[card|6759 6498 2643 8453]]

IBAN [[iban|DE89 3704 0044 0532 0130 00]], please.
[[iban|GB82WEST12345698765432]]
compte [[iban|FR14 2004 1010 0505 0001 3M02 606]].
rekening [[iban|NL91ABNA0417164300]]
Konto: [[iban|CH93 0076 2011 6238 5295 7]]
[[iban|ES91 2100 0418 4502 0005 1332]] Banco
IBAN:[[iban|IT60X0542811101000000123456]]
[[iban|BE68 5390 0754 7034]] PLUS 20 euros
konto [[iban|NO93 8601 1117 947]]
[[iban|PL61109010140000071219812874]]
IBAN [[iban|AT61 1904 3002 3457 3201]] BIC follows
[[iban|SE45 5000 0000 0583 9825 7466]]

Her SSN is [[ssn|536-22-8712]].
SSN: [[ssn|219 09 9998]] on the form
Social Security Number [[ssn|401338765]]
[[ssn|001-01-0001]] was typed first
(SSN [[ssn|665-12-3456]])
social security no. [[ssn|123121234]]
id [[ssn|432-81-9076]], name below
[[ssn|575-30-4421]]/[[ssn|575-30-4422]]
SSN [[ssn|078.05.1123]] or ssn: [[ssn|078 05 1123]]

身份证号[[cn_id|11010519491231002X]]，请核对。
[[cn_id|44030519880607142x]]
号码：[[cn_id|310115200011304413]]
公民身份号码[[cn_id|510106197910152632]]和[[cn_id|320508199602297715]]
ID [[cn_id|620102197502281195]].
证件 [[cn_id|11010519491231002X]]（张三）
出生证明[[cn_id|510106197910152632]]号

手机[[cn_mobile|13812345678]]联系。
致电 [[cn_mobile|139 1234 5678]]
[[cn_mobile|+86 186-1234-5678]]
微信同号：[[cn_mobile|15900001234]]，周一至周五
[[cn_mobile|0086 13700006789]]
tel:[[cn_mobile|8617712345678]]
张先生[[cn_mobile|18600012345]]、李女士[[cn_mobile|19912340000]]
My Chinese number is [[cn_mobile|147-0000-1234]].
[[cn_mobile|13311112222]] [[cn_mobile|13311113333]]
QQ或[[cn_mobile|16612345678]]。
客服[[cn_mobile|１３８１２３４５６７８]]

Call [[phone|+1 650 253 0000]] today.
London: [[phone|+44 (0)20 7946 0958]]
Büro [[phone|+49 30 901820-0]]
[[phone|+33 1 70 18 99 00]] (Paris)
[[phone|(212) 555-0143]] after six
Ring [[phone|415-555-0198]].
dial [[phone|1-800-555-0155]]
[[phone|503.555.0112]], ask for Pat
Tel [[phone|555 0134 22]]
电话：[[phone|010-82345678]]
地址某路，[[phone|0571-87654321]]
传真[[phone|(021)62345678]]
拨打[[phone|400 820 1234]]咨询
France : [[phone|01 70 18 99 01]]
London office [[phone|020 7946 0123]]
mobile [[phone|07700 900123]]
Berlin [[phone|030/1234567]]
Essen [[phone|0201 / 240 20]], Bonn [[phone|(0228) / 12 34 56]]
Hamburg: [[phone|+49 (0)40 / 49 07 11 06]]
+ fax [[phone|089 1234567]]
phone: [[phone|2125550187]]
Tokyo [[phone|+81 3-1234-5678]]
Telefon [[phone|0171-1234567]]
[[phone|+55 11 91234-5678]]
WhatsApp [[phone|+234 803 123 4567]]
Our number: [[phone|212 555 0166]]
Sydney [[phone|+61 2 5550 1234]]
hotline [[phone|0800 1234567]]

key=[[api_key|AKIA{"Q7ZT2MXW4RLK5VNB"}]] in the log
token: [[api_key|ghp_{A36}]]
export GH=[[api_key|gho_{A36[::-1]}]]
[[api_key|github_pat_{(A40 * 3)[:82]}]]
[[api_key|glpat-{A20}]]
[[api_key|xoxb-{"314159265358"}-{"271828182845"}-{A20}]]
https://[[api_key|hooks.slack.com/services/T{"0Q7ZT2MX"}/B{"4RLK5VNB"}/{A20}Wq3e]]
maps?key=[[api_key|AIza{A40[:35]}]]
OPENAI_API_KEY="[[api_key|sk-{A40}]]"
[[api_key|sk-proj-{A40}{A20}]]
[[api_key|sk_live_{A20}Xy12]]
[[api_key|npm_{A36}]]
[[api_key|SG.{A20}Ab.{A40}xYz]]
Bearer [[api_key|eyJ{A20}.eyJ{A40}.{A36}]]
aws_secret_access_key = [[api_key|{A20}/{A20[1:]}]]
"""
"""One text a line."""

NEGATIVE = """
She was @anna on the old site.
Follow @anna@social.example on the new one.
root@localhost is a prompt
install package@1.2.3 first
git@github.com:owner/repository.git
the picture icon@2x.png is blurred
price: 5@10.00 each
a@b is no address, nor is a@b.c
She met him @ home.com
@example.com alone
name@-bad.example
Version 1.2.3.4 came out in 2009.
Chrome/119.0.6045.105 on Windows 10.0.19041.1
see section 4.3.12.2 of the manual
firmware 10.20.30.40 fixes it
numbers 1.2.3.4.5 and 81.2.69.142.7
router at 192.168.1.1 or 10.0.0.138
localhost 127.0.0.1, mask 255.255.255.0
example addresses 192.0.2.44 and 203.0.113.9
OID 1.3.6.1.4.1.311
300.1.2.3 and 81.2.69.256
lib-5.12.33.47 changed
at 12:30:45 and 23:59:59
MAC 00:1B:44:11:3A:B7
std::vector and a::b::c
fe80::1 and ::1 and 2001:db8::7
版本 12.34.56.78 已发布
Card 4111 1111 1111 1112 has a wrong digit.
ISBN 978-0-306-40615-7
ISBN-13: 9781593278281
ISBN 0-306-40615-2 and ISSN 0028-0836
order 1234567890123456 shipped
tracking 9400111899223197428490
4111-1111 1111-1111
0000000000000000
4444444444444449
the constant 3.14159265358979323846
serial A4111111111111111
EAN 4006381333931
IBAN DE88 3704 0044 0532 0130 00 is wrong
GB82 WEST 1234 5698 7654 3
flight AB12 3456 7890 leaves
part DE89370400440532013000X
XX89370400440532013000
PL61 apples and 109010140 pears
000-12-3456 is not given out
666-12-3456 neither
078 05 1123 and 123.45.6789 say nothing by themselves
900-12-3456 nor this
123-00-4567 or 123-45-0000
part 536-22-87123
date 2001-22-1234
model X536-22-8712
nine digits 536228712 alone
110105194912310021 has a wrong check
110105194913310029 has no such month
990105194912310028 has no such province
订单号1101051949123100212
1234567890123456789
UUID 11010519-4912-3100-2123-456789abcdef
编号213812345678
代码1381234567890
价格12812345678元
共有1 381 234 567人
面积1381.2345678平方米
https://news.example.com/13812345678.html
?oldid=16511337801
id_13812345678
1700000000000 milliseconds
from 1914-1918 and 1939–1945
on 2008-10-15 at 10:30
2023-11-24 10:15:30
09/11/2001 and 24.12.1999
population 12 345 678 in 1990
1 234 567 890 people
the years 1066 1215 1415 1815
1990 / 1995 / 2000 / 2005
a ratio of 100 / 2000000
scores 21-15 21-17 15-21
pages 123-456 and 789-1011
$1,234,567.89 or 1.234.567,89
coordinates 48.8566140 2.3522219
-33.8688197, 151.2092955
doi:10.1016/0370-2693(93)90034
https://doi.org/10.1103/012345678
j.cell.2008.10.015
Cell 133 (1): 101-110
PMID 18329361
300 400 5000 were counted
911-411-0000
123-456-7890 begins with 1
phone 12345
He phoned in 1999.
He called 1914-1918 a waste.
a + 1234567 = b
2+2345678901
9.80665 and 6.02214076e23
0-306-40615
table 0123 4567
ratio 1:1000000
time 0830-1730
№ 00123456789
3.141.592.653
1.000.000.000
AKIAIOSFODNN7EXAMPLE
AKIAXXXXXXXXXXXXXXXX
sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
ask-anything-you-want-about-the-desk-and-its-drawers
sk-learn and sk-short
the task-b7Kq2ZxR9mTf4VwLs8Nyb7Kq2ZxR9mTf4VwLs8Ny
ghp_ is a prefix
eyJhbGciOiJ alone
xoxo-hugs-and-kisses
hf_transfer and npm_install
-----BEGIN PUBLIC KEY-----
-----BEGIN PRIVATE KEY----- is how it starts
d41d8cd98f00b204e9800998ecf8427e
da39a3ee5e6b4b0d3255bfef95601890afd80709
"""
"""One text a line; nothing in it is personal."""

MARK = re.compile(r"\[\[(\w+)\|(.*?)\]\]")


def cases() -> list[tuple[str, list[Span]]]:
    """Read both lists: the text without marks, and its spans."""
    return [unmark(line) for line in (POSITIVE + NEGATIVE).split("\n") if line]


def unmark(line: str) -> tuple[str, list[Span]]:
    """Take the marks out of a line and note where they stood."""
    text, done, spans = "", 0, []
    for match in MARK.finditer(line):
        text += line[done : match.start()]
        spans.append(Span(match[1], len(text), len(text) + len(match[2])))
        text += match[2]
        done = match.end()
    return text + line[done:], spans
