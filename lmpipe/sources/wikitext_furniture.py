"""Templates that show no running text: dropping them loses nothing a reader would miss.

The renderer drops every template that wikitext_table.py does not show. This list only decides which of
those count as a loss: it names what an article's frame is made of (references, notes for editors,
boxes, navigation, icons, layout), for the wikis most used here. A name in none of the lists counts as lost,
so that for other languages the count is too high rather than too low.
"""

import re
from functools import lru_cache

REFERENCES = (
    r"cite\b.*|citation(?! needed span).*|cit(?:ar?|e)? .*|sfn.*|r|rp|ref|refn.*|efn.*|note.*"
    r"|ref(?:begin|end|list).*|#tag.*|cnote.*|cref.*|enote|ndash ref|isbn.*|doi|pmid|pmc|arxiv|bibcode|jstor"
    r"|url archive|webarchive|wayback|dead link|cbignore|in lang|.* icon|iso icon|icon|a note|fnote|sup ref"
    r"|citeref|cita.*|ouvrage.*|article|lien (?:web|brisé).*|harvsp|literatur|internetquelle|webarchiv.*|bd\.?"
    r"|книга|статья|sfnref|книга.*|публикация|脚注.*|refnest|efn2|参考文献|參考文獻|參考資料|ouvrage"
    r"|google books|ol author"
    r"|gutenberg author|librivox.*|internet archive.*|imdb.*|dmoz|curlie|sep|eb1911.*|catholic|acad|kotobank"
    r"|ծան.*|գիրք.*|հոդված.*|nūruodis|vcite.*|snf|bibliographical.*|biographical.*|archive\.today|naid|ndldc"
    r"|crd|iep|ethnologue.*|nhk.*|հսհ|վպե|ն|втвт.*|вт-.*|брэ|ռուսերեն գիրք|24hlm|pwre|msw3.*|inflation-fn"
    r"|harv(?!txt).*|source|sources|isbn2?|cytuj.*|odn|voetnoot.*|citeer.*|gr"
    r"|չաշխատող.*|qref2|obra citada|chapitre|autorité"
)
"""References, citations and catalogues."""
EDITORS = (
    r".*(?:needed|failed verification|dubious|clarify|disputed|citation style|unreferenced|unsourced|stub|update).*"
    r"|who\??|when\??|where\??|which\??|why\??|whom\??|by whom.*|according to whom.*|cn|fact|fact-.*|pov.*"
    r"|original research.*|vague|weasel.*|more .*|expand .*|refimprove.*|cleanup.*|copy ?edit.*|confusing.*"
    r"|unreliable.*|primary source.*|better source.*|self-published.*|verify.*|verification.*|tone|essay.*"
    r"|globali[sz]e.*|excessive.*|relevan.*|importance.*|inappropriate.*|synthesis.*|sic\?|check.*"
    r"|use .* (?:dates|english|spelling|american)|use .*|engvar.*|pp|pp-.*|short description|good article"
    r"|featured article|bots|nobots|要出典|出典.*|独自研究.*|要検証.*|要説明|いつ|誰|誰が|どこ"
    r"|要ページ番号|複数の問題|.*スタブ|加筆.*|.*の明記|リンク切れ"
    r"|観点.*|未検証.*|来源请求|來源請求|fact.*|何时|何時|谁|誰說|哪個|未记载|notability|unreferenced.*"
    r"|noteta.*|简繁.*|繁简.*|全局僻字|orphan"
    r"|belege.*|überarbeiten|lückenhaft|veraltet|quelle|refnec.*"
    r"|référence (?:nécessaire|souhaitée|insuffisante).*|à sourcer|ébauche.*|citation nécessaire|quand|qui"
    r"|pas clair|anchor.*|anker|ancre|visible anchor|աղբյուր.*|անաղբյուր|փաստ|clear.*|-|break|fix.*|անավարտ.*"
    r"|.*needed.*|explain|undue.*|multiple issues|not verified.*|who says|prone to spam|merge.*|buzzword.*"
    r"|editoriali[sz]ing|unclear.*|quote without.*|request quotation|page number.*|告知|更新|外部リンク.*"
    r"|精度|雑多.*|一次資料"
    r"|存命人物.*|参照方法|.*過剰|単一の出典|誰2|ページ番号|no footnotes|empty section|npov.*|after float"
    r"|pad|翻訳|selfref"
    r"|update after|or|qn|full|tone.*|要曖昧さ回避|nota disambigua|begriffsklärung.*|bron\?"
    r"|нет аи|нет источник.*|кто\?|где\?|когда\?"
    r"|carece de fontes|citaat nodig|fakt|doorverwijs.*|другие значения"
    r"|falta referencia|cita requerida|출처 필요.*|다른 뜻.*"
)
"""Notes for and by editors."""
BOXES = (
    r"infobox.*|taxobox.*|.* ?infobox.*|automatic taxobox|speciesbox|.*box|.*box/.*|.*boxe?s|navbar|sidebar.*"
    r"|navigation.*|navbox.*|multiple image.*|double image|triple image|wide image|annotated image.*|image.*"
    r"|css image crop|photomontage|gallery.*|location map.*|listen|audio.*|video.*|external media"
    r"|chess diagram.*|clade.*|chart.*|tree ?chart.*|graph.*|bar ?(?:box|percent|chart|pixel|table).*|pie.*"
    r"|historical populations|us census.*|historical.*population.*|legend.*|collapsible.*|col-.*|col|div col.*"
    r"|multicol.*|s-.*|succession.*|基礎情報.*|.*テンプレート|.*infobox|.*信息框.*|.*模板|infoskreine.*"
    r"|տեղեկաքարտ.*|եղանակ.*"
    r"|.*քարտեզ.*|.*box.*|bild.*|karte.*|map.*|osm.*|maplink.*|weather.*|climate.*|calendar.*|quote ?box"
    r"|style.*|wikidata.*|wd|日本の.*|位置図.*|.*位置図|人口統計|photo.*|personendaten|normdaten|taxonbar"
    r"|authority control.*|defaultsort.*|sisterlinks.*|sister.*|portal.*|commons.*|wiki.*|wikt.*|ウィキ.*"
    r"|commonscat.*|表.*|特殊文字|multimedia|試聴|生物分類表|政治家|spaceflight crew|largest cities"
    r"|familytree.*|stack"
    r"|panorama|panoramys|align.*|aligned table|columns-start|flex-item.*|vertical images list"
    r"|(?:half|double|triple) image.*|colbegin"
    r"|кол|конец кол|врезка|բազմապատիկ պատկերներ"
    r"|ֆոտոշարք|հատված|սյուն|լեգենդ|gesprochene version|արտասանություն"
    r"|պանորամա|երկակի պատկեր|բազմակի պատկեր|համայնապատկեր|государство"
    r"|navigationsleiste.*|folgenleiste|panorama.*"
)
"""What stands beside or below the text: boxes, pictures, charts, and the layout of columns."""
LINKS = (
    r"main|main ?\d|main .*|see also|seealso|further.*|also|about.*|for|for\d|other.*|otheruses.*|redirect.*"
    r"|distinguish.*|hatnote.*|details.*|not to be confused.*|broader.*|dablink|disambig.*|main article"
    r"|article détaillé.*|articles détaillés|voir.*|hauptartikel|siehe.*|dieser artikel|begriffsklärung.*|主条目"
    r"|主條目|main2|参见.*|參見.*|另见.*|另見.*|关联|redirect2|distinguish2|vedi anche|véase.*|հիմնական.*|տես.*|այլ.*"
    r"|հոմանիշ.*|nadabeigts.*|official website.*|official.*|公式サイト|osmrelation.*|external links?|youtube"
    r"|twitter|facebook|.* topics?|.* topic|.*-stub|in our time|in ?title|look ?from|toc.*|compact.*toc"
    r"|リダイレクト.*|混同|otheruses|googlemap|仮リンク2|library resources.*|subject bar|spoken.*|featured.*|good.*"
    r"|link (?:fa|ga)|dynamic list|harvard.*|geographic location|excerpt|ayn rand|instagram|tumblr|pixiv"
    r"|find a grave|mathworld|planetmath|springer|mactutor.*|mathgenealogy|nlab|imslp|discogs.*|allcinema.*"
    r"|philpapers|inpho|govpubs|cia world factbook.*|worldcat.*|interwiki|incubator|see main|books-inline"
    r"|category see also|詳細記事|関連記事|別人|pathnav|for multi|mainarticle|more|elect|technical reasons"
    r"|contains special characters|artigo principal"
    r"|zie hoofdartikel|vedi anche|główny artykuł|osobny artykuł|подробно|см\. также"
    r"|главная|본문.*|autres projets|interprogetto|entête label|անցում|appendix"
)
"""Pointers to other pages and sites, navigation."""
ICONS = (
    r"flag ?icon.*|flagdeco|flag decoration|flagicon.*|icon.*|.*icon|party (?:color|shading|stripe).*"
    r"|.*color cell.*|color sample|color box|increase.*|decrease.*|steady.*|yes.*|tick|cross|won|nom|sort.*"
    r"|sortname|hs|hidden.*|display none|dts|style|drapeau.*|դրոշ.*|rail.*icon.*|都市圏color|.*路線記号"
    r"|ja exp route sign|jct|shield.*|percentage.*|bartable|progress bar"
)
"""Pictures the size of a letter, and keys that only sort."""
FURNITURE = re.compile("(?:" + "|".join((REFERENCES, EDITORS, BOXES, LINKS, ICONS)) + ")")


@lru_cache(maxsize=4096)
def is_furniture(name: str) -> bool:
    """Tell whether a template's name, as written, is one of these."""
    return FURNITURE.fullmatch(" ".join(name.replace("_", " ").split()).lower()) is not None
